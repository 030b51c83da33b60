"""Every node of the grid, plane by plane: slow, certain, and no larger in memory than two planes and the surface."""

import numpy as np
from jaxtyping import Bool, Int64

from .cells import CrossedCells
from .grid import CORNERS, GridField


def dense_cells(field: GridField) -> CrossedCells:
    """The cells that the field's zero level crosses, after evaluating every node."""
    _, ny, nz = field.grid.node_shape
    y_of_node, z_of_node = np.unravel_index(np.arange(ny * nz), (ny, nz))
    cells, values = [], []
    previous = np.empty((ny, nz))
    for x in range(field.grid.node_shape[0]):
        current = field(np.stack([np.full_like(y_of_node, x), y_of_node, z_of_node], axis=1)).reshape(ny, nz)
        if x > 0:
            slab = np.stack([previous, current])
            y, z = _crossed(slab < 0)
            cells.append(np.stack([np.full_like(y, x - 1), y, z], axis=1))
            values.append(slab[CORNERS[:, 0], y[:, None] + CORNERS[:, 1], z[:, None] + CORNERS[:, 2]])
        previous = current
    return CrossedCells(np.concatenate(cells), np.concatenate(values))


def _crossed(inside: Bool[np.ndarray, "2 ny nz"]) -> tuple[Int64[np.ndarray, "m"], Int64[np.ndarray, "m"]]:
    """The rows and columns of the cells between two planes whose corners are not all on one side."""
    count = inside.sum(axis=0)
    count = count[1:] + count[:-1]
    count = count[:, 1:] + count[:, :-1]
    y, z = np.nonzero((count > 0) & (count < 8))
    return y, z
