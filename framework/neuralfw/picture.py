"""Draws a mesh without a graphics library: dense samples of its triangles, a z-buffer, a light at the eye."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64, UInt8
from PIL import Image

from .geometry import Mesh
from .geometry.files import write_file

SUPERSAMPLING = 2
BACKGROUND = 255.0
COLOR = np.array([0.62, 0.70, 0.82])


def view_axes(azimuth: float, elevation: float) -> Float64[np.ndarray, "3 3"]:
    """Return the rows right, up and towards the eye of a view, y being up; angles in degrees."""
    a, e = np.radians(azimuth), np.radians(elevation)
    eye = np.array([np.cos(e) * np.sin(a), np.sin(e), np.cos(e) * np.cos(a)])
    right = np.array([np.cos(a), 0.0, -np.sin(a)])
    return np.stack([right, np.cross(eye, right), eye])


def _samples(
    corners: Float64[np.ndarray, "f 3 3"],
) -> Iterator[tuple[Int64[np.ndarray, " g"], Float64[np.ndarray, "s 3"]]]:
    """Yield groups of triangles with barycentric coordinates that leave no pixel (of size 1) between samples out."""
    edges = np.linalg.norm((corners - np.roll(corners, 1, axis=1))[:, :, :2], axis=2).max(axis=1)
    steps = np.exp2(np.ceil(np.log2(np.maximum(1.5 * edges, 1.0)))).astype(np.int64)
    for n in np.unique(steps):
        i, j = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
        i, j = i[i + j <= n], j[i + j <= n]
        yield np.flatnonzero(steps == n), np.stack([i, j, n - i - j], axis=1) / n


def draw(mesh: Mesh, size: int = 512, azimuth: float = 35.0, elevation: float = 20.0) -> UInt8[np.ndarray, "h w 3"]:
    """Return an orthographic picture of a mesh, `size` pixels square; parts seen from inside are darker."""
    pixels = size * SUPERSAMPLING
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    axes = view_axes(azimuth, elevation)
    placed = (mesh.vertices - 0.5 * (low + high)) @ axes.T * (pixels / np.linalg.norm(high - low))
    facing = mesh.vertex_normals @ axes[2]
    depth, light = np.full(pixels * pixels, -np.inf), np.full(pixels * pixels, np.nan)
    for group, weights in _samples(placed[mesh.faces]):
        faces = mesh.faces[group]
        seen = np.einsum("sk,fkd->fsd", weights, placed[faces]).reshape(-1, 3)
        shade = np.einsum("sk,fk->fs", weights, facing[faces]).ravel()
        placing = pixels / 2 + seen[:, :2] * (1.0, -1.0)
        column, row = np.clip(placing.astype(np.int64), 0, pixels - 1).T
        order = np.argsort(seen[:, 2], kind="stable")
        pixel, z, shade = (row * pixels + column)[order], seen[order, 2], shade[order]
        last = np.full(pixels * pixels, -1)
        last[pixel] = np.arange(len(pixel))
        hit = np.flatnonzero(last >= 0)
        hit = hit[z[last[hit]] > depth[hit]]
        depth[hit], light[hit] = z[last[hit]], shade[last[hit]]
    bright = np.where(light > 0, 0.25 + 0.75 * light, 0.15 - 0.25 * light)[:, None] * COLOR * 255.0
    image = np.where(np.isnan(light)[:, None], BACKGROUND, bright)
    smooth = image.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING, 3).mean(axis=(1, 3))
    picture: UInt8[np.ndarray, "h w 3"] = smooth.round().astype(np.uint8)
    return picture


def save_picture(mesh: Mesh, path: Path, size: int = 512) -> None:
    """Write a PNG with the mesh from the front and from behind, side by side, `size` pixels each.

    Raises:
        UserError: the file cannot be written.
    """
    views = [draw(mesh, size, azimuth) for azimuth in (215.0, 35.0)]
    encoded = BytesIO()
    Image.fromarray(np.concatenate(views, axis=1)).save(encoded, "PNG", optimize=True)
    write_file(path, encoded.getvalue())
