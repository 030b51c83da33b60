"""Which vertices of two shapes correspond: read from files, checked, and used to lay one shape onto the other."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from neuralfw.errors import UserError
from neuralfw.geometry import Mesh, PointCloud
from neuralfw.geometry.files import existing_file
from neuralfw.metrics.registration import similarity_between

from .config import ShapePairConfig

MISMATCH = 2.0
"""Factor between the sizes of two shapes from which they cannot be meant to lie in one world."""


CROWD = 0.01
"""Share of the rows of a file that cannot all mean one vertex: it stands in where there is no match."""


class Matches(NamedTuple):
    """Vertex `source[i]` corresponds to vertex `target[i]`; `notes` say what was left out."""

    source: Int64[np.ndarray, "m"]
    target: Int64[np.ndarray, "m"]
    notes: tuple[str, ...] = ()


def find_matches(config: ShapePairConfig, source: int, target: int) -> Matches:
    """Return the matches of shapes with so many vertices, as the options say.

    Raises:
        UserError: a file is damaged, of another length than the shape, or names a vertex that does not exist; or the
            shapes have no common vertex order.
    """
    if config.matches == "template":
        if source != target:
            raise UserError(
                f'data: matches = "template" needs shapes of one vertex order, but {config.source.name} has {source:,} '
                f'vertices and {config.target.name} {target:,}: say matches = "file" and correspondence, or "none"'
            )
        return Matches(np.arange(source), np.arange(target))
    assert config.correspondence is not None
    there = config.direction == "source_to_target"
    found = _oriented(config, config.correspondence, source, target, there)
    if config.back is not None:
        second = _oriented(config, config.back, source, target, not there)
        rows, named = (np.concatenate(pair) for pair in zip(found[:2], second[:2], strict=True))
        found = Matches(rows, named, (*found.notes, *second.notes))
    return found


def _oriented(config: ShapePairConfig, path: Path, source: int, target: int, there: bool) -> Matches:
    rows, named = (config.source, config.target) if there else (config.target, config.source)
    count, most = (source, target) if there else (target, source)
    index = read_map(path) - config.base
    if len(index) != count:
        raise UserError(
            f"{path} has {len(index):,} rows, but {rows.name} has {count:,} vertices: one row for each was expected. "
            f'The other way round it is direction = "{"target_to_source" if there else "source_to_target"}"'
        )
    without = (index == -1) & (config.base == 0)
    outside = np.flatnonzero(((index < 0) | (index >= most)) & ~without)
    if len(outside):
        row = int(outside[0])
        raise UserError(
            f"{path}, row {row + 1}: names vertex {index[row] + config.base}, but {named.name} has the vertices "
            f"{config.base} to {most - 1 + config.base}, counted from base = {config.base}"
        )
    if without.all():
        raise UserError(f"{path} names no vertex: -1 in every row")
    own = np.flatnonzero(~without)
    index = index[own]
    named_by = np.bincount(index, minlength=most)
    crowded = np.flatnonzero((named_by > CROWD * count) & (named_by > 20 * max(1, count // most)))
    notes = tuple(
        f"{path.name}: {named_by[v]:,} rows name vertex {v + config.base}: taken as without match and left out"
        for v in crowded
    )
    own, index = (rows[~np.isin(index, crowded)] for rows in (own, index))
    return Matches(own, index, notes) if there else Matches(index, own, notes)


def read_map(path: Path) -> Int64[np.ndarray, "n"]:
    """Read one whole number per row, from an array (.npy) or text; of a (1, n) or (n, 1) array its only line.

    Raises:
        UserError: the file is absent or holds something else.
    """
    path = existing_file(path)
    try:
        values = np.load(path, allow_pickle=False) if path.suffix == ".npy" else np.loadtxt(path, ndmin=1)
    except (OSError, ValueError, EOFError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path} is no list of vertex numbers, one in each row: {reason}") from error
    values = values.reshape(-1) if values.ndim == 2 and 1 in values.shape else values
    whole = values.ndim == 1 and values.dtype.kind in "iuf" and bool(np.isfinite(values).all())
    if not whole or not len(values) or (values != np.round(values)).any():
        raise UserError(f"{path} is no list of vertex numbers: whole numbers, one in each row, were expected")
    return values.astype(np.int64)


def alignment(
    config: ShapePairConfig, source: Float64[np.ndarray, "m 3"], target: Float64[np.ndarray, "m 3"]
) -> Float64[np.ndarray, "4 4"]:
    """Return the similarity (4, 4) that lays matched points of the target onto those of the source.

    Raises:
        UserError: the shapes differ much in size and are not to be scaled, or all matched points coincide.
    """
    sizes = [float(np.linalg.norm(np.ptp(points, axis=0))) for points in (source, target)]
    ratio = sizes[1] / max(sizes[0], 1e-300)
    if config.align != "similarity" and not 1.0 / MISMATCH < ratio < MISMATCH:
        raise UserError(
            f"{config.target.name} is {ratio:.3g} times as large as {config.source.name}, so they lie in different "
            'units: say align = "similarity", or bring them to one scale'
        )
    if config.align == "none":
        return np.eye(4)
    found = similarity_between(target, source)
    if not np.isfinite(found).all():
        raise UserError(f"the matches of {config.source.name} and {config.target.name} all meet in one point")
    if config.align == "rigid":
        rotation = found[:3, :3] / np.cbrt(np.linalg.det(found[:3, :3]))
        found[:3, :3], found[:3, 3] = rotation, source.mean(axis=0) - rotation @ target.mean(axis=0)
    return found


def corners(shape: Mesh | PointCloud) -> Float64[np.ndarray, "n 3"]:
    """Return the points of a shape that matches are about."""
    return shape.vertices if isinstance(shape, Mesh) else shape.points
