"""Rasterisation of triangle meshes on a CPU."""

from .mesh import Fragments, rasterize, ray_distance, silhouette, visible_faces

__all__ = ["Fragments", "rasterize", "ray_distance", "silhouette", "visible_faces"]
