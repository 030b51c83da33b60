"""The cells near an unsigned distance's zero set, with values and gradients at their corners."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from neuralfw.errors import UserError
from neuralfw.meshing import EmptySurfaceError, ExtractionStats, Surface
from neuralfw.meshing.cells import CrossedCells, crossed, triangulate
from neuralfw.meshing.grid import CORNERS, Bounds, Grid

FIRST_BLOCK = 8
SLOPE = 2.0  # the steepest distance that the search expects, per unit of length
EDGES = np.array([(low, low + step) for step in (4, 2, 1) for low in range(8) if not low & step])
"""The twelve edges of a cell, by their corners."""


class Distance:
    """A distance f and its gradient, evaluated in chunks.

    Attributes:
        device: where the field computes.
        evaluations: at how many points it was asked.
    """

    def __init__(
        self, field: Callable[[Tensor, frozenset[str]], dict[str, Tensor]], chunk: int, device: torch.device
    ) -> None:
        self._field, self._chunk, self.device = field, chunk, device
        self.evaluations = 0

    def value(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Return f itself, with whatever sign it has."""
        return self._field(x, frozenset({"sdf"}))["sdf"]

    def sizes(self, points: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n"]:
        """Return |f|.

        Raises:
            UserError: a value is not finite.
        """
        sizes: np.ndarray = np.abs(self._evaluate(points, frozenset({"sdf"}))[0])
        return sizes

    def at(self, points: Float64[np.ndarray, "n 3"]) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n 3"]]:
        """Return f and its gradient.

        Raises:
            UserError: a value is not finite.
        """
        return self._evaluate(points, frozenset({"sdf", "sdf_gradient"}))

    def _evaluate(self, points: Float64[np.ndarray, "n 3"], want: frozenset[str]) -> tuple[np.ndarray, np.ndarray]:
        self.evaluations += len(points)
        found: list[dict[str, Tensor]] = []
        for start in range(0, len(points), self._chunk):
            part = torch.from_numpy(points[start : start + self._chunk])
            found.append(self._field(part.to(self.device, torch.get_default_dtype()), want))
        value, gradient = (
            np.concatenate([f[q].double().cpu().numpy() for f in found] or [empty]) if q in want else empty
            for q, empty in (("sdf", np.zeros(0)), ("sdf_gradient", np.zeros((0, 3))))
        )
        if not np.isfinite(value).all():
            raise UserError(f"The field has no finite value at {points[~np.isfinite(value)][0].tolist()}.")
        return value, gradient


@dataclass(frozen=True)
class Band:
    """Cells of a grid, and what the distance is at their corners.

    Attributes:
        cells: by their lowest node, in the order of their ids.
        corners: for each cell, which of `values` its corners have.
        values: |f| of each node that is a corner.
        gradients: of |f| there, unit length.
    """

    grid: Grid
    cells: Int64[np.ndarray, "m 3"]
    corners: Int64[np.ndarray, "m 8"]
    values: Float64[np.ndarray, "n"]
    gradients: Float64[np.ndarray, "n 3"]
    evaluations: int

    @property
    def edges(self) -> Int64[np.ndarray, "e 2"]:
        """Return the edges of all cells, each once."""
        found: np.ndarray = np.unique(self.corners[:, EDGES].reshape(-1, 2), axis=0)
        return found

    def surface(self, signs: Float64[np.ndarray, "n"]) -> Surface:
        """Return where the signs of the nodes change, by marching cubes.

        Raises:
            EmptySurfaceError: nowhere.
        """
        values = (signs * self.values)[self.corners]
        crossing = crossed(values)
        if not crossing.any():
            raise EmptySurfaceError("The gradients of the distance turn round nowhere, so there is no sheet to mesh.")
        vertices, faces = triangulate(self.grid, CrossedCells(self.cells[crossing], values[crossing]))
        grid = self.grid
        stats = ExtractionStats(
            method="udf", level=0.0, cells=grid.cells, spacing=grid.spacing, nodes=grid.node_count,
            evaluations=self.evaluations, lipschitz=SLOPE, leaves_bounds=False,
        )  # fmt: skip
        return Surface(vertices, faces, stats)


def band_cells(field: Distance, bounds: Bounds, resolution: int) -> Band:
    """Return the cells through which a sheet may pass: |f| is at most a diagonal anywhere, an edge on average.

    Raises:
        EmptySurfaceError: there are none.
    """
    grid = Grid.over(bounds, resolution)
    cells = _near(field, grid)
    ids, corners = np.unique(grid.ids(cells[:, None] + CORNERS), return_inverse=True)
    corners = corners.reshape(-1, 8)
    values, gradients = field.at(grid.points(grid.nodes(ids)))
    values, gradients = np.abs(values), gradients * np.where(values < 0, -1.0, 1.0)[:, None]
    at_corners = values[corners]
    near = (at_corners.mean(axis=1) < 1.05 * grid.spacing) & (at_corners.max(axis=1) <= 1.74 * grid.spacing)
    if not near.any():
        least = float(values.min()) if len(values) else np.inf
        raise EmptySurfaceError(
            f"The distance is nowhere below a cell's edge, {grid.spacing:.4g}; its least value found is {least:.4g}:"
            " the surface lies outside of the box, or the field has not been trained."
        )
    used, corners = np.unique(corners[near], return_inverse=True)
    lengths = np.maximum(np.linalg.norm(gradients[used], axis=1, keepdims=True), 1e-12)
    cells, corners = cells[near], corners.reshape(-1, 8)
    return Band(grid, cells, corners, values[used], gradients[used] / lengths, field.evaluations)


def _near(field: Distance, grid: Grid) -> Int64[np.ndarray, "m 3"]:
    """Return the cells with a centre near the zero set, found from large blocks to small, in order of their ids."""
    counts = tuple(-(-n // FIRST_BLOCK) for n in grid.cells)
    blocks = FIRST_BLOCK * np.stack(np.unravel_index(np.arange(np.prod(counts)), counts), axis=1)
    size = FIRST_BLOCK
    while True:
        reach = SLOPE * grid.spacing * 0.5 * size * np.sqrt(3.0)
        blocks = blocks[field.sizes(grid.points(blocks + 0.5 * size)) <= reach]
        if size == 1:
            cells: np.ndarray = blocks[np.argsort(grid.ids(blocks))]
            return cells
        size //= 2
        blocks = (blocks[:, None] + size * CORNERS).reshape(-1, 3)
        blocks = blocks[(blocks < grid.cells).all(axis=1)]
