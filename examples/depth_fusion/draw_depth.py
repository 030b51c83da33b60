"""Draws depth maps of a mesh, the data of the recipe: python draw_depth.py MESH OUT [VIEWS SIZE]."""

import sys

import numpy as np

from neuralfw.geometry import read_mesh
from neuralfw.photos.rendered import around
from neuralfw.raster import rasterize


def main(mesh_file: str, out: str, views: str = "16", size: str = "64") -> None:
    """Write the depth of a mesh from all sides; rays that meet nothing are infinitely long."""
    mesh = read_mesh(mesh_file)
    center = 0.5 * (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0))
    radius = float(np.linalg.norm(mesh.vertices - center, axis=1).max())
    cameras = around(center, radius, int(views), int(size))
    depth = np.stack([rasterize(mesh.vertices, mesh.faces, camera).depth for camera in cameras])
    pose, lens = (np.stack([getattr(camera, key) for camera in cameras]) for key in ("world_to_camera", "intrinsics"))
    np.savez_compressed(out, depth=depth.astype(np.float32), world_to_camera=pose, intrinsics=lens)


if __name__ == "__main__":
    main(*sys.argv[1:])
