"""Pictures of a mesh all around: its shape, its colours, its normals, and where it is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int64, UInt8

from ..film.shots import orbit
from ..geometry import Camera, Mesh
from ..picture import COLOR, INSIDE, head_light
from ..raster import rasterize

SIZE = 360
FINER = 2
"""Samples along each side of a pixel."""

DISTANCE = 3.2
"""Of the camera from the middle of the mesh, in radii of its box."""

ELEVATION = 20.0


@dataclass(frozen=True)
class Turn:
    """A mesh from all around.

    Attributes:
        label: what mesh it is, such as "t = 0.500".
        layers: pictures by the name of what they show, one for each direction.
    """

    label: str
    layers: Mapping[str, Sequence[UInt8[np.ndarray, "h w 3"]]]


def turn(
    mesh: Mesh,
    cameras: Sequence[Camera],
    *,
    label: str = "",
    painted: Mapping[str, Float[np.ndarray, "v 3"]] | None = None,
) -> Turn:
    """Draw a mesh from cameras of its world.

    Args:
        mesh: with colours or without.
        cameras: square.
        label: of the result.
        painted: further colours of its vertices by name, which a head light shades.
    """
    layers: dict[str, list[UInt8[np.ndarray, "h w 3"]]] = {}
    for camera in cameras:
        for name, picture in _drawn(mesh, camera, painted or {}):
            layers.setdefault(name, []).append(picture)
    return Turn(label, layers)


def around(mesh: Mesh, up: Float64[np.ndarray, "3"], count: int) -> list[Camera]:
    """Return cameras evenly around a mesh that all see it whole.

    Args:
        mesh: has at least one vertex.
        up: unit direction about which they go.
        count: of the cameras.
    """
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    radius = max(0.5 * float(np.linalg.norm(high - low)), 1e-12)
    focal = 0.5 * SIZE * (DISTANCE**2 - 1.0) ** 0.5
    lens = Camera.look_at([0, 0, 1], [0, 0, 0], [0, 1, 0], focal=focal, width=SIZE, height=SIZE)
    return orbit(0.5 * (low + high), up, lens, DISTANCE * radius, count, elevation=ELEVATION)


def _drawn(
    mesh: Mesh, camera: Camera, painted: Mapping[str, Float[np.ndarray, "v 3"]]
) -> Iterator[tuple[str, UInt8[np.ndarray, "h w 3"]]]:
    fine = camera.resized(FINER * camera.width, FINER * camera.height)
    seen = rasterize(mesh.vertices, mesh.faces, fine)
    row, column = np.nonzero(seen.hit)
    corners, weights = mesh.faces[seen.face[row, column]], seen.barycentric[row, column].astype(np.float64)

    def at(values: Float[np.ndarray, "v c"]) -> Float64[np.ndarray, "n c"]:
        between: Float64[np.ndarray, "n c"] = np.einsum("nk,nkc->nc", weights, values[corners])
        return between

    normals = at(mesh.vertex_normals @ camera.world_to_camera[:3, :3].T)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    sight = np.stack([(column + 0.5 - fine.cx) / fine.fx, (row + 0.5 - fine.cy) / fine.fy, np.ones(len(row))], axis=1)
    facing = -np.einsum("nk,nk->n", normals, sight) / np.linalg.norm(sight, axis=1)
    shades = {"shape": COLOR * head_light(facing, inside=INSIDE)[:, None]}
    if mesh.colors is not None:
        shades["colors"] = at(mesh.colors)
    shades["normals"] = 0.5 * (normals * np.array([1.0, -1.0, -1.0]) + 1.0)
    shades |= {name: at(colors) * head_light(facing)[:, None] for name, colors in painted.items()}
    pixel = (row // FINER) * camera.width + column // FINER
    for name, shade in shades.items():
        yield name, _reduced(shade, pixel, camera)


def _reduced(
    shade: Float64[np.ndarray, "n 3"], pixel: Int64[np.ndarray, " n"], camera: Camera
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the means over the samples of each pixel; those that none of the shades belongs to are white."""
    count = camera.width * camera.height
    white = FINER**2 - np.bincount(pixel, minlength=count)
    sums = [np.bincount(pixel, shade[:, c], count) + white for c in range(3)]
    means = np.stack(sums, axis=1).reshape(camera.height, camera.width, 3) / FINER**2
    levels: UInt8[np.ndarray, "h w 3"] = np.round(255.0 * np.clip(means, 0.0, 1.0)).astype(np.uint8)
    return levels
