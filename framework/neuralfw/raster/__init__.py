"""Rasterisation of triangle meshes on a CPU."""

from .mesh import Fragments, rasterize, rasterize_local, ray_distance, silhouette, visible_faces

__all__ = ["Fragments", "rasterize", "rasterize_local", "ray_distance", "silhouette", "visible_faces"]
