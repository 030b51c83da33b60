"""The grid that a field is meshed on, and the field's values at its nodes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64, Shaped
from torch import Tensor

from neuralfw.errors import UserError

ScalarField = Callable[[Tensor], Tensor]
"""Points (n, 3) in the default float type → values (n,)."""

Bounds = tuple[Sequence[float] | Float[np.ndarray, "3"], Sequence[float] | Float[np.ndarray, "3"]]
"""The lower and the upper corner of a box."""

CORNERS = np.stack(np.unravel_index(np.arange(8), (2, 2, 2)), axis=1)
"""The corners of a cell, (8, 3): corner k is offset by the bits of k, x first. Corner 7 - k lies opposite."""


@dataclass(frozen=True)
class Grid:
    """Cubic cells of edge `spacing` between nodes; node (0, 0, 0) lies at `origin`.

    Every axis has an even number of cells. Nodes and cells are named by integer triples, a cell by its lowest node.
    """

    origin: Float64[np.ndarray, "3"]
    spacing: float
    cells: tuple[int, int, int]

    @classmethod
    def over(cls, bounds: Bounds, resolution: int) -> "Grid":
        """The grid centred on the box `bounds` (lower, upper) with `resolution` cells along its longest edge.

        It may exceed the box by less than one cell on each side, to keep the cells cubic and their number even.
        """
        lower, upper = (np.asarray(corner, dtype=np.float64) for corner in bounds)
        if lower.shape != (3,) or upper.shape != (3,) or not np.all(np.isfinite([lower, upper])):
            raise UserError(f"The bounds to mesh must be two finite points of three numbers, not {bounds}.")
        if not np.all(lower < upper):
            raise UserError(
                f"The bounds to mesh are empty: {_triple(lower)} must be below {_triple(upper)} on each axis."
            )
        if resolution < 2:
            raise UserError(f"resolution = {resolution} is too small: the longest edge needs at least 2 cells.")
        extent = upper - lower
        spacing = float(extent.max()) / resolution
        cells = 2 * np.ceil(extent / (2 * spacing) - 1e-9).astype(int)
        origin = (lower + upper - spacing * cells) / 2
        return cls(origin, spacing, (int(cells[0]), int(cells[1]), int(cells[2])))

    @cached_property
    def node_shape(self) -> tuple[int, int, int]:
        nx, ny, nz = self.cells
        return nx + 1, ny + 1, nz + 1

    @property
    def node_count(self) -> int:
        return int(np.prod(self.node_shape))

    def ids(self, nodes: Int64[np.ndarray, "*n 3"]) -> Int64[np.ndarray, "*n"]:
        """One integer per node, ordered as the nodes are (x slowest)."""
        _, ny, nz = self.node_shape
        ids: np.ndarray = (nodes[..., 0] * ny + nodes[..., 1]) * nz + nodes[..., 2]
        return ids

    def nodes(self, ids: Int64[np.ndarray, "*n"]) -> Int64[np.ndarray, "*n 3"]:
        """The inverse of `ids`."""
        return np.stack(np.unravel_index(ids, self.node_shape), axis=-1)

    def points(self, nodes: Shaped[np.ndarray, "*n 3"]) -> Float64[np.ndarray, "*n 3"]:
        """Where nodes lie in the field's space; fractions of a cell are allowed."""
        return self.origin + self.spacing * nodes


class GridField:
    """A scalar field at the nodes of a grid, less `level`; remembers what it was asked and what it saw."""

    def __init__(
        self, sdf: ScalarField, grid: Grid, level: float = 0.0, chunk: int = 8192, device: torch.device | str = "cpu"
    ) -> None:
        self.grid = grid
        self.level = level
        self.evaluations = 0
        self.lowest, self.highest = np.inf, -np.inf
        self.nearest_point = grid.origin
        self._sdf, self._chunk, self._device = sdf, chunk, device
        self._nearest_value = np.inf

    def __call__(self, nodes: Int64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n"]:
        """Values at nodes, in chunks. Raises UserError for a value that is not finite."""
        values = np.empty(len(nodes))
        for start in range(0, len(nodes), self._chunk):
            part = slice(start, start + self._chunk)
            values[part] = self._evaluate(self.grid.points(nodes[part]))
        return values

    def at_shared(self, nodes: Int64[np.ndarray, "m k 3"]) -> Float64[np.ndarray, "m k"]:
        """Values at nodes of which many are the same: each distinct one is evaluated once."""
        distinct, inverse = np.unique(self.grid.ids(nodes), return_inverse=True)
        return self(self.grid.nodes(distinct))[inverse].reshape(nodes.shape[:2])

    def _evaluate(self, points: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n"]:
        batch: Float[Tensor, "n 3"] = torch.from_numpy(points).to(self._device, torch.get_default_dtype())
        with torch.no_grad():
            found = self._sdf(batch)
        if found.shape != batch.shape[:1]:
            raise ValueError(f"a scalar field returns one value per point, not {tuple(found.shape)} for {len(batch)}")
        values: np.ndarray = found.double().cpu().numpy() - self.level
        if not np.isfinite(values).all():
            where = _triple(points[~np.isfinite(values)][0])
            raise UserError(f"The field has no finite value at {where}; a mesh needs one at every node of the grid.")
        self.evaluations += len(values)
        self.lowest, self.highest = min(self.lowest, values.min()), max(self.highest, values.max())
        nearest = int(np.abs(values).argmin())
        if abs(values[nearest]) < self._nearest_value:
            self._nearest_value, self.nearest_point = abs(values[nearest]), points[nearest]
        return values


def _triple(point: Float64[np.ndarray, "3"]) -> str:
    return "({:.4g}, {:.4g}, {:.4g})".format(*point)
