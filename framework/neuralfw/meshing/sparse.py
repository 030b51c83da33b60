"""Only the blocks that the surface may cross.

A field whose slope is at most L has no zero within |f(c)| / L of a point c. A block of cells with |f(centre)| beyond
L times its half diagonal is therefore dropped unseen, and what remains is split: 16, 4, 2 cells a side, then single
cells. Unless it is known, L is measured at every level in the blocks still in question and enlarged by a margin. The
outcome is put to the proof: nothing met further down is steeper than L, and the surface does not run into anything
that was dropped. Where that fails the search is repeated with a larger L. A separate piece of surface that lies wholly
in dropped blocks, which only a field steeper there than wherever it was probed can have, is the one thing that the
dense way finds and this does not.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from .cells import CrossedCells, crossed, frontier
from .dense import dense_cells
from .grid import CORNERS, Grid, GridField

BLOCK_SIZES = (16, 4, 2)
PROBES = 1024  # nodes per level where the slope is measured
MARGIN = 1.2


@dataclass(frozen=True)
class _Search:
    """What one descent found, and the slopes it met beside the bounds it dropped blocks by, coarse to fine."""

    crossing: CrossedCells
    bounds: list[float]
    slopes: list[float]

    @property
    def too_steep(self) -> bool:
        return any(max(self.slopes[level:]) > bound for level, bound in enumerate(self.bounds))


def sparse_cells(field: GridField, lipschitz: float | None = None) -> tuple[CrossedCells, float | None]:
    """The cells that the field's zero level crosses, and the bound on the field's slope that the search rests on.

    `lipschitz` is such a bound where one is known, in units of the field per unit of length. It too is enlarged if the
    field turns out to be steeper. A surface that may be nearly everywhere is looked for at every node; no bound is then
    needed or returned.
    """
    known, floor, thorough = lipschitz, 0.0, False
    while True:
        search = _descend(field, known, floor)
        if search is None:
            return dense_cells(field), None
        empty = len(search.crossing) == 0
        lost = field.lowest < 0 <= field.highest if empty else frontier(field.grid, search.crossing)[0] > 0
        if not (lost or search.too_steep or (empty and not thorough)):
            return search.crossing, min(search.bounds)
        known, floor = None, max(floor, *search.slopes)
        if lost:
            floor = 2 * max(floor, (field.highest - field.lowest) / (field.grid.spacing * max(field.grid.cells)))
        if empty:  # before this is believed, no block of the first level is dropped
            floor, thorough = max(floor, _keeping_all(field)), True


def _keeping_all(field: GridField) -> float:
    """A slope that no value seen so far excludes from a block of the first level."""
    return 2 * max(-field.lowest, field.highest) / (field.grid.spacing * BLOCK_SIZES[0])


def _descend(field: GridField, known: float | None, floor: float) -> _Search | None:
    """Go from the largest blocks to the cells, with `known` as the bound or with measured ones above `floor`.

    None if half of the grid is still in question at the smallest blocks.
    """
    grid = field.grid
    blocks = _lattice(grid, BLOCK_SIZES[0])
    bounds, slopes = [], []
    for size, next_size in zip(BLOCK_SIZES, (*BLOCK_SIZES[1:], None), strict=True):
        high = np.minimum(blocks + size, grid.cells)
        centre = (blocks + high) // 2
        value = field(centre)
        slopes.append(0.0 if known is not None else _steepest_probe(field, blocks, size))
        bounds.append(known if known is not None else MARGIN * max(floor, slopes[-1]))
        radius = grid.spacing * np.linalg.norm(np.maximum(high - centre, centre - blocks), axis=1)
        keep = np.abs(value) <= bounds[-1] * radius
        blocks, value = blocks[keep], value[keep]
        if next_size is not None:
            blocks = _split(grid, blocks, size, next_size)
    if 8 * len(blocks) > grid.node_count / 2:
        return None
    cells, values = _split_pairs(field, blocks, value, bounds[-1])
    slopes.append(_steepest_cell(values) / grid.spacing)
    keep = np.flatnonzero(crossed(values))
    keep = keep[np.argsort(grid.ids(cells[keep]))]
    return _Search(CrossedCells(cells[keep], values[keep]), bounds, slopes)


def _lattice(grid: Grid, size: int) -> Int64[np.ndarray, "m 3"]:
    counts = tuple(-(-n // size) for n in grid.cells)
    return size * np.stack(np.unravel_index(np.arange(np.prod(counts)), counts), axis=1)


def _split(grid: Grid, blocks: Int64[np.ndarray, "m 3"], size: int, next_size: int) -> Int64[np.ndarray, "n 3"]:
    n = size // next_size
    offsets = next_size * np.stack(np.unravel_index(np.arange(n**3), (n, n, n)), axis=1)
    parts = (blocks[:, None] + offsets).reshape(-1, 3)
    return parts[(parts < grid.cells).all(axis=1)]


def _split_pairs(
    field: GridField, blocks: Int64[np.ndarray, "m 3"], centre: Float64[np.ndarray, "m"], bound: float
) -> tuple[Int64[np.ndarray, "n 3"], Float64[np.ndarray, "n 8"]]:
    """The last step, from blocks of two cells a side to the cells that may be crossed and their corner values.

    Each cell of a block has the block's centre for one corner and a corner of the block for the opposite one. Its
    six others lie one spacing from one of the two and √2 from the other: where that settles their signs, the cell is
    dropped.
    """
    spacing = field.grid.spacing
    outer = field.at_shared(blocks[:, None] + 2 * CORNERS)
    inner = np.broadcast_to(centre[:, None], outer.shape)
    near, far = bound * spacing, np.sqrt(2.0) * bound * spacing
    settled = (inner < 0) == (outer < 0)
    settled &= (np.abs(inner) > near) | (np.abs(outer) > far)
    settled &= (np.abs(outer) > near) | (np.abs(inner) > far)
    block, corner = np.nonzero(~settled)

    cells = blocks[block] + CORNERS[corner]
    rows = np.arange(len(cells))
    values = np.full((len(cells), 8), np.nan)
    values[rows, corner] = outer[block, corner]
    values[rows, 7 - corner] = centre[block]
    unknown = np.isnan(values)
    nodes = (cells[:, None] + CORNERS)[unknown].reshape(-1, 6, 3)
    values[unknown] = field.at_shared(nodes).ravel()
    return cells, values


def _steepest_probe(field: GridField, blocks: Int64[np.ndarray, "m 3"], size: int) -> float:
    """The largest gradient, by forward differences over one cell, at nodes spread evenly over the blocks.

    The nodes follow Roberts' additive recurrence, an even spread over (block, x, y, z) without a random stream.
    """
    golden = 1.1673039782614187  # the root of x⁵ = x + 1
    spread = np.arange(1, PROBES + 1)[:, None] * golden ** -np.arange(1.0, 5.0) % 1
    lowest = blocks[(spread[:, 0] * len(blocks)).astype(int)] if len(blocks) else blocks
    nodes = np.minimum(lowest + (spread[: len(lowest), 1:] * size).astype(int), np.array(field.grid.cells) - 1)
    steps = np.vstack([np.zeros(3, dtype=np.int64), np.eye(3, dtype=np.int64)])
    values = field.at_shared(nodes[:, None] + steps)
    return float(np.linalg.norm(values[:, 1:] - values[:, :1], axis=1).max(initial=0.0)) / field.grid.spacing


def _steepest_cell(values: Float64[np.ndarray, "m 8"]) -> float:
    """The largest change across a cell: the mean over its four edges along each axis, as a vector's length."""
    change = values @ (CORNERS - 0.5) / 2
    return float(np.linalg.norm(change, axis=1).max(initial=0.0))
