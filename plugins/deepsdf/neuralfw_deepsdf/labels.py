"""Signed distances to a surface that is given as points with normals, as DeepSDF's preprocessing makes them."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float32, Float64
from scipy.spatial import cKDTree

from neuralfw.geometry import SdfSamples

VOTES = 11
NEAR = 47 / 50
"""Share of the samples that lie near the surface; the others are uniform in the cube [-1, 1]³."""


def sample_sdf_of_points(
    points: Float64[np.ndarray, "n 3"],
    normals: Float64[np.ndarray, "n 3"],
    count: int,
    rng: np.random.Generator,
    variances: tuple[float, float] = (0.005, 0.0005),
) -> SdfSamples:
    """Return samples outside and inside of a surface given by points.

    Surface points are moved twice, by normal deviates of either variance. The distance is that to the nearest surface
    point or, within the larger deviation, to the plane through it. The sign is kept only where the 11 nearest points
    agree on it, so slightly fewer than `count` samples come back (Park et al. 2019, arXiv 1901.05103, §5.1).
    """
    moved = round(count * NEAR / 2)
    sources = points[rng.integers(len(points), size=moved)]
    near = [sources + rng.normal(scale=math.sqrt(v), size=sources.shape) for v in variances]
    x = np.concatenate([*near, rng.uniform(-1.0, 1.0, (max(0, count - 2 * moved), 3))])
    distance, index = cKDTree(points).query(x, k=np.arange(1, min(VOTES, len(points)) + 1), workers=-1)
    distance, index = np.asarray(distance), np.asarray(index)
    to_plane = np.einsum("nvi,nvi->nv", x[:, None] - points[index], normals[index])
    outside, inside = (to_plane > 0).all(axis=1), (to_plane <= 0).all(axis=1)
    length = np.where(distance[:, 0] < math.sqrt(max(variances)), np.abs(to_plane[:, 0]), distance[:, 0])
    return SdfSamples(pos=_rows(x, length, outside), neg=_rows(x, -length, inside))


def _rows(
    x: Float64[np.ndarray, "n 3"], sdf: Float64[np.ndarray, "n"], keep: Bool[np.ndarray, "n"]
) -> Float32[np.ndarray, "m 4"]:
    rows: Float32[np.ndarray, "m 4"] = np.column_stack([x, sdf])[keep].astype(np.float32)
    return rows
