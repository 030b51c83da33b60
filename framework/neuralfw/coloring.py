"""Colours for points of a surface, from images of it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float, Float64
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from .geometry import Camera, Mesh
from .raster import rasterize

FRONTAL = 4
"""Power of the cosine between normal and line of sight by which a view counts."""

DEPTH_SLACK = 0.005
"""How much deeper than what a view shows a vertex may lie and still be seen by it, as a share of the depth."""


Seen = tuple[Camera, Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w"]]
"""A camera with rgb in [0, 1] on black, and alpha by which it is divided."""


def color_vertices(mesh: Mesh, images: Iterable[Seen]) -> Float64[np.ndarray, "v 3"]:
    """Return RGB in [0, 1] of each vertex; see `color_points`."""
    return color_points(mesh, mesh.vertices, mesh.vertex_normals, images)


def color_points(
    mesh: Mesh, points: Float64[np.ndarray, "n 3"], normals: Float64[np.ndarray, "n 3"], images: Iterable[Seen]
) -> Float64[np.ndarray, "n 3"]:
    """Give points of a surface the mean colour of the images that see them, those counting most that look frontally.

    A point that no image sees takes the colour of the nearest one that is seen; grey where none is.

    Args:
        mesh: the surface, which hides what lies behind it; in the world of the cameras.
        points: on it.
        normals: of it there, unit, to either side.
        images: of it, or of what it was made from.

    Returns:
        RGB in [0, 1].
    """
    total, weights = np.zeros((len(points), 3)), np.zeros(len(points))
    for camera, rgb, alpha in images:
        pixels, depth = camera.project(points)
        seen = np.flatnonzero(camera.sees(pixels, depth))
        column, row = pixels[seen].astype(np.int64).T
        shown = rasterize(mesh.vertices, mesh.faces, camera).depth[row, column]
        seen = seen[depth[seen] <= (1.0 + DEPTH_SLACK) * shown]
        sight = camera.center - points[seen]
        cosine = np.einsum("ij,ij->i", sight, normals[seen]) / np.linalg.norm(sight, axis=1)
        place = pixels[seen, ::-1].T - 0.5
        color, cover = (_sampled(image, place) for image in (rgb, alpha[..., None]))
        weight = np.abs(cosine) ** FRONTAL * cover[:, 0]
        total[seen] += weight[:, None] * color
        weights[seen] += weight * cover[:, 0]
    return _filled(points, total, weights)


def _sampled(image: Float[np.ndarray, "h w c"], place: Float[np.ndarray, "2 n"]) -> Float64[np.ndarray, "n c"]:
    """Values between the centres of pixels, linearly interpolated."""
    channels = image.transpose(2, 0, 1)
    return np.stack([map_coordinates(c, place, np.float64, order=1, mode="nearest") for c in channels], axis=1)


def _filled(
    points: Float64[np.ndarray, "n 3"], total: Float64[np.ndarray, "n 3"], weights: Float64[np.ndarray, "n"]
) -> Float64[np.ndarray, "n 3"]:
    seen = weights > 1e-6
    if not seen.any():
        return np.full((len(weights), 3), 0.5)
    colors = total / np.maximum(weights, 1e-6)[:, None]
    if not seen.all():
        colors[~seen] = colors[seen][cKDTree(points[seen]).query(points[~seen])[1]]
    clipped: Float64[np.ndarray, "n 3"] = colors.clip(0.0, 1.0)
    return clipped
