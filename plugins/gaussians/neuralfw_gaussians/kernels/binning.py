"""Which Gaussians touch which tile, front to back: one sort by depth of all, then a counting fill of the tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Int32, Int64
from numba import njit

TILE = 16
_DIGITS = 11


@dataclass(frozen=True)
class Bins:
    """The tiles' lists of Gaussians, one after the other.

    Attributes:
        meetings: for each meeting of a Gaussian and a tile which Gaussian it is, nearer ones first within a tile, and
            the meeting's slot: where it stands when meetings are ordered by Gaussian.
        starts: the first meeting of each tile, row by row, and the end of the last.
        offsets: the first slot of each Gaussian, and the end of the last.
    """

    meetings: Int32[np.ndarray, "m 2"]
    starts: Int64[np.ndarray, " t"]
    offsets: Int64[np.ndarray, " g1"]


def bins(depths: Float32[np.ndarray, " g"], boxes: Int32[np.ndarray, "g 4"], width: int, height: int) -> Bins:
    """Sort Gaussians into tiles.

    Args:
        depths: along the optical axis; positive where the box is not empty.
        boxes: first column, first row, last column and last row that each touches, exclusive ends; empty if unseen.
    """
    columns, rows = -(-width // TILE), -(-height // TILE)
    visible = np.flatnonzero(boxes[:, 2] > boxes[:, 0])
    return Bins(*_fill(_sorted_by_depth(visible, depths), boxes, columns, rows))


@njit(cache=True)
@no_type_check
def _sorted_by_depth(visible, depths):
    """Return the visible Gaussians by depth: a stable radix sort, since positive floats sort as their bits do."""
    count = len(visible)
    keys, ids = depths[visible].view(np.uint32), visible.astype(np.int32)
    other_keys, other_ids = np.empty_like(keys), np.empty_like(ids)
    for shift in range(0, 33, _DIGITS):
        places = np.zeros(1 << _DIGITS, np.int64)
        for i in range(count):
            places[(keys[i] >> np.uint32(shift)) & np.uint32((1 << _DIGITS) - 1)] += 1
        place = 0
        for digit in range(1 << _DIGITS):
            here = places[digit]
            places[digit] = place
            place += here
        for i in range(count):
            digit = (keys[i] >> np.uint32(shift)) & np.uint32((1 << _DIGITS) - 1)
            other_keys[places[digit]], other_ids[places[digit]] = keys[i], ids[i]
            places[digit] += 1
        keys, other_keys, ids, other_ids = other_keys, keys, other_ids, ids
    return ids


@njit(cache=True)
@no_type_check
def _fill(order, boxes, columns, rows):
    starts = np.zeros(columns * rows + 1, np.int64)
    offsets = np.zeros(len(boxes) + 1, np.int64)
    for g in order:
        left, top = boxes[g, 0] // TILE, boxes[g, 1] // TILE
        right, bottom = (boxes[g, 2] + TILE - 1) // TILE, (boxes[g, 3] + TILE - 1) // TILE
        offsets[g + 1] = (right - left) * (bottom - top)
        for y in range(top, bottom):
            for x in range(left, right):
                starts[y * columns + x + 1] += 1
    for tile in range(columns * rows):
        starts[tile + 1] += starts[tile]
    for g in range(len(boxes)):
        offsets[g + 1] += offsets[g]
    meetings = np.empty((starts[-1], 2), np.int32)
    places = starts[:-1].copy()
    for g in order:
        left, top = boxes[g, 0] // TILE, boxes[g, 1] // TILE
        right, bottom = (boxes[g, 2] + TILE - 1) // TILE, (boxes[g, 3] + TILE - 1) // TILE
        slot = offsets[g]
        for y in range(top, bottom):
            for x in range(left, right):
                place = places[y * columns + x]
                meetings[place, 0], meetings[place, 1] = g, slot
                places[y * columns + x] += 1
                slot += 1
    return meetings, starts, offsets
