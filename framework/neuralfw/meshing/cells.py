"""Marching cubes over a list of cells (Lorensen and Cline 1987), whatever way the cells were found."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Bool, Float64, Int64
from skimage.measure import marching_cubes

from .grid import CORNERS, Grid


@dataclass(frozen=True)
class CrossedCells:
    """The cells that a level set crosses, in the order of their ids, with the values at their corners."""

    cells: Int64[np.ndarray, "m 3"]
    values: Float64[np.ndarray, "m 8"]

    def __len__(self) -> int:
        return len(self.cells)


@dataclass(frozen=True)
class _Cases:
    """What to draw in a cell, by which of its corners are inside: bit k of the case is corner k."""

    triangles: Int64[np.ndarray, "256 t 3"]  # edges of the cell, -1 where there is no triangle
    edge_low: Int64[np.ndarray, "12"]  # the corner where an edge begins
    edge_axis: Int64[np.ndarray, "12"]  # the axis along which it runs


@cache
def _cases() -> _Cases:
    """The case table, read off scikit-image by meshing each of the 256 cubes.

    The table is scikit-image's `lorensen`: neighbouring cells agree on ambiguous faces, so the mesh is closed.
    """
    edges = [(low, axis) for axis in range(3) for low in range(8) if CORNERS[low, axis] == 0]
    midpoints = np.array([CORNERS[low] + 0.5 * np.eye(3)[axis] for low, axis in edges])
    triangles = np.full((256, 5, 3), -1, dtype=np.int64)
    for case in range(1, 255):
        inside = (case >> np.arange(8) & 1).astype(bool)
        cube = np.where(inside, -1.0, 1.0).astype(np.float32).reshape(2, 2, 2)
        vertices, faces, _, _ = marching_cubes(cube, 0.0, method="lorensen")  # type: ignore[no-untyped-call]
        edge_of_vertex = np.abs(vertices[:, None] - midpoints).sum(axis=2).argmin(axis=1)
        triangles[case, : len(faces)] = edge_of_vertex[faces]
    low, axis = np.array(edges).T
    return _Cases(triangles, low, axis)


def crossed(values: Float64[np.ndarray, "m k"]) -> Bool[np.ndarray, "m"]:
    """Which cells (or faces of cells) have corners on both sides; a value of exactly 0 is outside."""
    inside = (values < 0).sum(axis=1)
    mixed: np.ndarray = (inside > 0) & (inside < values.shape[1])
    return mixed


def triangulate(grid: Grid, crossing: CrossedCells) -> tuple[Float64[np.ndarray, "v 3"], Int64[np.ndarray, "f 3"]]:
    """The triangles of the level set: vertices in the field's space, faces wound so that normals point outside.

    A vertex belongs to a grid edge, where the level is interpolated linearly; it is shared by all the cells around
    that edge, so there is nothing to weld. A cell that is crossed but absent from the list leaves a hole.
    """
    table = _cases()
    case = ((crossing.values < 0) << np.arange(8)).sum(axis=1)
    drawn = table.triangles[case]
    cell, _ = np.nonzero(drawn[:, :, 0] >= 0)
    edge = drawn[drawn[:, :, 0] >= 0]

    low, axis = table.edge_low[edge], table.edge_axis[edge]
    keys = 3 * grid.ids(crossing.cells[cell, None] + CORNERS[low]) + axis
    distinct, first, faces = np.unique(keys, return_index=True, return_inverse=True)
    low, axis, cell = low.ravel()[first], axis.ravel()[first], cell[first // 3]
    start, end = crossing.values[cell, low], crossing.values[cell, low + np.array([4, 2, 1])[axis]]
    vertices = grid.nodes(distinct // 3).astype(np.float64)
    vertices[np.arange(len(vertices)), axis] += start / (start - end)
    return grid.points(vertices), faces.reshape(-1, 3)


def frontier(grid: Grid, crossing: CrossedCells) -> tuple[int, int]:
    """How often the surface leaves the listed cells: (into cells that are not listed, through the grid's boundary)."""
    ids = grid.ids(crossing.cells)
    missing = leaving = 0
    for axis in range(3):
        for side in (0, 1):
            across = crossing.cells[crossed(crossing.values[:, CORNERS[:, axis] == side])]
            across[:, axis] += 2 * side - 1
            in_grid = (across[:, axis] >= 0) & (across[:, axis] < grid.cells[axis])
            wanted = grid.ids(across[in_grid])
            found = ids[np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)] == wanted
            missing += int((~found).sum())
            leaving += int((~in_grid).sum())
    return missing, leaving
