"""Where a mesh is wrong: the distance from each of its vertices to what is known to be true."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from scipy.spatial import cKDTree

from ..errors import UserError
from ..geometry import Mesh, point_to_mesh_distance, read_shape
from ..geometry.mesh_sequence import find_meshes, stamps

FULL_SCALE = 0.01
"""The error that has the last colour, as a share of the diagonal of the truth's box."""

MOST_POINTS = 1_000_000
"""Of a cloud with more points every so many-th is used."""


@dataclass(frozen=True, eq=False)
class SurfaceError:
    """Distances of a mesh from the truth.

    Attributes:
        distance: of each vertex, world units.
        scale: the distance that has the last colour.
        told: mean and quantile, and what the distance is to, in words.
    """

    distance: Float64[np.ndarray, " v"]
    scale: float
    told: str


def surface_error(mesh: Mesh, truth: Path) -> SurfaceError:
    """Measure a mesh against a mesh, exactly, or against a cloud, to its nearest point.

    Raises:
        UserError: the file cannot be read.
    """
    shape = read_shape(truth)
    if isinstance(shape, Mesh):
        corners, distance = shape.vertices, point_to_mesh_distance(mesh.vertices, shape)
        to = f"the triangles of {truth.name}"
    else:
        corners = shape.points
        used = corners[:: -(-len(corners) // MOST_POINTS)]
        distance = np.asarray(cKDTree(used).query(mesh.vertices)[0], np.float64)
        to = f"the nearest of {len(used):,} points of {truth.name}"
    diagonal = float(np.linalg.norm(np.ptp(corners, axis=0)))
    told = (
        f"mean {distance.mean():.4g}, 95 % below {np.quantile(distance, 0.95):.4g}, in world units, "
        f"from the vertices to {to}; the last colour is {FULL_SCALE:.0%} of the diagonal of its box"
    )
    return SurfaceError(distance, FULL_SCALE * diagonal, told)


def truth_at(reference: Path, time: float | None) -> Path | None:
    """Return the file with the truth at a time: of a folder of numbered meshes the one that has this time, if any.

    Raises:
        UserError: a folder without a mesh, or a scene that does not move with a folder of several.
    """
    if reference.is_file():
        return reference if time is None else None
    files = find_meshes(reference)
    if not files:
        raise UserError(f"{reference} holds no mesh to compare with.")
    if time is None:
        if len(files) > 1:
            raise UserError(f"{reference} holds {len(files)} meshes, but this scene does not move: name one file.")
        return files[0]
    return next((file for file, at in zip(files, stamps(len(files)), strict=True) if abs(at - time) < 1e-6), None)
