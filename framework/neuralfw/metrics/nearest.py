"""Exact nearest neighbours between point sets, by k-d trees.

Queries run in the order of their own tree's leaves, so that consecutive ones walk the same branches: 1.7 times faster
than `cKDTree` alone for 100,000 points a side, 2.9 times for a million (`benchmarks/nearest.py`).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from scipy.spatial import cKDTree


class Nearest(NamedTuple):
    """For each point the distance to its nearest target, and that target's index."""

    distance: Float64[np.ndarray, "n"]
    index: Int64[np.ndarray, "n"]


def nearest(points: Float64[np.ndarray, "n 3"], targets: Float64[np.ndarray, "m 3"]) -> Nearest:
    """The nearest of the targets to each point."""
    return _query(_tree(points), _tree(targets))


def nearest_both_ways(a: Float64[np.ndarray, "n 3"], b: Float64[np.ndarray, "m 3"]) -> tuple[Nearest, Nearest]:
    """From each point of `a` into `b`, and from each of `b` into `a`."""
    tree_a, tree_b = _tree(a), _tree(b)
    return _query(tree_a, tree_b), _query(tree_b, tree_a)


def _tree(points: Float64[np.ndarray, "n 3"]) -> cKDTree:
    return cKDTree(points, balanced_tree=False)


def _query(points: cKDTree, targets: cKDTree) -> Nearest:
    order = points.indices
    found_distance, found_index = targets.query(points.data[order], workers=-1)
    distance, index = np.empty(points.n), np.empty(points.n, dtype=np.int64)
    distance[order], index[order] = found_distance, found_index
    return Nearest(distance, index)
