"""Draws a mesh without a graphics library, with a light at the eye."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image

from .geometry import Camera, Mesh
from .geometry.files import write_file
from .raster import rasterize

SUPERSAMPLING = 2
DISTANCE = 100.0  # of the eye, in diagonals of the mesh's box
BACKGROUND = 255.0
COLOR = np.array([0.62, 0.70, 0.82])

INSIDE = 0.4
"""How much of the light a surface shows that is seen from inside."""


def head_light(facing: Float64[np.ndarray, "*n"], *, inside: float = 1.0) -> Float64[np.ndarray, "*n"]:
    """Return how bright a surface is under a light at the eye: a quarter where it is seen edge-on, 1 face to face.

    Args:
        facing: cosine of the angle between its normal and the way to the eye; negative seen from inside.
        inside: what is seen from inside is so much less bright.
    """
    bright: Float64[np.ndarray, "*n"] = (0.25 + 0.75 * np.abs(facing)) * np.where(facing < 0.0, inside, 1.0)
    return bright


def view_axes(azimuth: float, elevation: float) -> Float64[np.ndarray, "3 3"]:
    """Return the rows right, up and towards the eye of a view, y being up; angles in degrees."""
    a, e = np.radians(azimuth), np.radians(elevation)
    eye = np.array([np.cos(e) * np.sin(a), np.sin(e), np.cos(e) * np.cos(a)])
    right = np.array([np.cos(a), 0.0, -np.sin(a)])
    return np.stack([right, np.cross(eye, right), eye])


def draw(mesh: Mesh, size: int = 512, azimuth: float = 35.0, elevation: float = 20.0) -> UInt8[np.ndarray, "h w 3"]:
    """Return a picture of a mesh from afar, `size` pixels square; parts seen from inside are darker."""
    pixels = size * SUPERSAMPLING
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    reach, axes = max(float(np.linalg.norm(high - low)), 1e-12), view_axes(azimuth, elevation)
    placed = (mesh.vertices - 0.5 * (low + high)) / reach
    eye = Camera.look_at(DISTANCE * axes[2], [0.0] * 3, axes[1], focal=DISTANCE * pixels, width=pixels, height=pixels)
    seen = rasterize(placed, mesh.faces, eye)
    facing = seen.interpolate((mesh.vertex_normals @ axes[2])[:, None], mesh.faces)
    color = COLOR if mesh.colors is None else seen.interpolate(mesh.colors, mesh.faces)
    bright = head_light(facing, inside=INSIDE) * color * 255.0
    image = np.where(seen.hit[..., None], bright, BACKGROUND)
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
