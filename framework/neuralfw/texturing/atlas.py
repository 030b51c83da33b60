"""Charts of a mesh in a square, made by the optional package xatlas (MIT), and what lies at each texel of it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.ndimage import distance_transform_edt

from ..errors import UserError
from ..geometry import Mesh
from ..geometry.cleaning import select_faces
from ..optional import optional
from ..raster.mesh import Fragments, rasterize_local

PADDING = 2
"""Texels between charts, so that none shows the next one's colour where a viewer interpolates."""

PILOT = 2000
"""Faces that are unwrapped first, to know how long all of them take."""

GROWTH = 1.5
"""Power of the number of faces with which the time goes: 2.6 s of one core for 20,000 of a ball, 24 s for 82,000."""


@dataclass(frozen=True, eq=False)
class Atlas:
    """A mesh cut into charts, which lie side by side in a square texture.

    Attributes:
        mesh: what was cut; it keeps its vertices and faces.
        uv: places in the texture, [0, 1], u to the right and v up.
        corners: of each face of the mesh, the rows of `uv` of its three corners.
        size: edge of the texture, texels.
    """

    mesh: Mesh
    uv: Float64[np.ndarray, "w 2"]
    corners: Int64[np.ndarray, "f 3"]
    size: int

    @cached_property
    def _texels(self) -> Fragments:
        flat = np.stack([self.uv[:, 0], 1.0 - self.uv[:, 1], np.full(len(self.uv), 1.0 / self.size)], axis=1)
        return rasterize_local(self.size * flat, self.corners, (1.0, 1.0, 0.0, 0.0), (self.size, self.size))

    @property
    def covered(self) -> Bool[np.ndarray, "s s"]:
        """The texels whose centre lies in a chart; row 0 is the upper edge of the texture."""
        return self._texels.hit

    @property
    def points(self) -> Float64[np.ndarray, "n 3"]:
        """Where on the surface the covered texels lie, row by row, world units."""
        return self._at_texels(self.mesh.vertices)

    @property
    def normals(self) -> Float64[np.ndarray, "n 3"]:
        """Unit normals of the surface there, interpolated between vertices."""
        normals = self._at_texels(self.mesh.vertex_normals)
        unit: Float64[np.ndarray, "n 3"] = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        return unit

    def picture(self, colors: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "s s 3"]:
        """Return the texture with these colours at the covered texels; each other one has that of the nearest."""
        texture = np.zeros((*self.covered.shape, 3))
        texture[self.covered] = colors
        row, column = distance_transform_edt(~self.covered, return_distances=False, return_indices=True)
        filled: Float64[np.ndarray, "s s 3"] = texture[row, column]
        return filled

    def _at_texels(self, values: Float64[np.ndarray, "v 3"]) -> Float64[np.ndarray, "n 3"]:
        found: Float64[np.ndarray, "n 3"] = self._texels.interpolate(values, self.mesh.faces)[self.covered]
        return found


def unwrap(mesh: Mesh, size: int) -> Atlas:
    """Cut a mesh into charts and lay them out.

    Args:
        mesh: it must have faces.
        size: edge of the texture, texels.

    Raises:
        UserError: xatlas is not installed; the mesh has too many faces for a texture of that size.
    """
    package = xatlas()
    options = package.PackOptions()
    options.resolution, options.padding, options.bilinear = size, PADDING, True
    atlas = package.Atlas()
    center = mesh.vertices.mean(axis=0)
    scale = max(float(np.ptp(mesh.vertices, axis=0).max()), 1e-300)
    atlas.add_mesh(((mesh.vertices - center) / scale).astype(np.float32), mesh.faces.astype(np.uint32))
    atlas.generate(pack_options=options)
    if atlas.atlas_count > 1:
        raise UserError(
            f"the charts of {len(mesh.faces):,} faces do not fit into {size} x {size} texels: "
            "say a larger --texture, or fewer --faces."
        )
    _, corners, uv = atlas.get_mesh(0)
    return Atlas(mesh, uv.astype(np.float64), corners.astype(np.int64), size)


def seconds_of(mesh: Mesh, size: int) -> float:
    """Return about how long it takes to unwrap a mesh here, from a part of it; 0 of a small mesh."""
    if len(mesh.faces) <= 2 * PILOT:
        return 0.0
    centers = mesh.triangles.mean(axis=1)
    nearest = np.argpartition(((centers - centers[0]) ** 2).sum(axis=1), PILOT)[:PILOT]
    keep = np.zeros(len(centers), dtype=bool)
    keep[nearest] = True
    part = select_faces(mesh, keep)
    began = time.perf_counter()
    unwrap(part, size)
    taken, more = time.perf_counter() - began, len(centers) / PILOT
    return taken * math.pow(more, GROWTH)


def xatlas() -> Any:
    """Return the module.

    Raises:
        UserError: it is not installed.
    """
    return optional("xatlas", "uv", "--uv")
