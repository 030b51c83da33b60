"""Brings a reconstruction onto a scan by similarities: by the centres of its cameras, then by its points."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64
from scipy.spatial import cKDTree

from neuralfw.errors import UserError

Points = Float64[np.ndarray, "*#batch n 3"]
Matrix = Float64[np.ndarray, "*#batch 4 4"]

DRAWS = 10_000
"""Of RANSAC: where half of the pairs are wrong, one draw of three in eight is right."""

CONVERGED = 1e-6


def apply(similarity: Matrix, points: Points) -> Points:
    """Points moved by a similarity."""
    moved: Points = points @ np.swapaxes(similarity[..., :3, :3], -1, -2) + similarity[..., None, :3, 3]
    return moved


def similarity_between(a: Points, b: Points) -> Matrix:
    """The similarity that brings points `a` nearest to their partners `b` by least squares (Umeyama 1991).

    It is NaN where all of `a` coincide.
    """
    mean_a, mean_b = a.mean(axis=-2, keepdims=True), b.mean(axis=-2, keepdims=True)
    x, y = a - mean_a, b - mean_b
    left, singular, right = np.linalg.svd(np.swapaxes(y, -1, -2) @ x)
    signs = np.ones_like(singular)
    signs[..., 2] = np.sign(np.linalg.det(left @ right))
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = (singular * signs).sum(axis=-1) / np.square(x).sum(axis=(-2, -1))
    found = np.zeros((*a.shape[:-2], 4, 4))
    found[..., :3, :3] = scale[..., None, None] * ((left * signs[..., None, :]) @ right)
    found[..., :3, 3] = (mean_b - mean_a @ np.swapaxes(found[..., :3, :3], -1, -2))[..., 0, :]
    found[..., 3, 3] = 1.0
    return found


def consensus(
    a: Float64[np.ndarray, "n 3"], b: Float64[np.ndarray, "n 3"], reach: float, *, seed: int = 0
) -> tuple[Float64[np.ndarray, "4 4"], Bool[np.ndarray, "n"]]:
    """The similarity from `a` to `b` on which most partners agree, and which do (RANSAC, Fischler and Bolles 1981).

    Of many drawn from three pairs each it takes that which brings the most points within reach of their partners, and
    refits it to those until they stay the same.

    Raises:
        UserError: fewer than half of the pairs, or of three, agree; or those that do lie on a line.
    """
    rng, count = np.random.default_rng(seed), len(a)
    best, agreeing = np.eye(4), np.zeros(count, dtype=bool)
    for _ in range(DRAWS // 1000 if count >= 3 else 0):
        chosen = rng.random((1000, count)).argpartition(2, axis=1)[:, :3] if count > 3 else np.arange(3)[None]
        drawn = similarity_between(a[chosen], b[chosen])
        near = np.linalg.norm(apply(drawn, a[None]) - b, axis=-1) < reach
        most = int(near.sum(axis=1).argmax())
        if near[most].sum() > agreeing.sum():
            best, agreeing = drawn[most], near[most]
    for _ in range(20):
        if agreeing.sum() < 3:
            break
        best = similarity_between(a[agreeing], b[agreeing])
        before, agreeing = agreeing, np.linalg.norm(apply(best, a) - b, axis=1) < reach
        if (before == agreeing).all():
            break
    if 2 * agreeing.sum() < count or agreeing.sum() < 3:
        raise UserError(f"only {agreeing.sum()} of {count} partners can be brought within {reach:g} of each other.")
    spread = np.linalg.svd(b[agreeing] - b[agreeing].mean(axis=0), compute_uv=False)
    if spread[1] < 1e-3 * spread[0]:
        raise UserError("they lie on a line, which leaves the turn around it open.")
    return best, agreeing


def closest_points(
    points: Float64[np.ndarray, "n 3"], target: Float64[np.ndarray, "m 3"], reach: float, steps: int = 20
) -> Float64[np.ndarray, "4 4"]:
    """Iterated closest points with scale: pairs farther apart than the reach do not count.

    It ends early when neither the share of pairs nor their root mean square distance changes by 1e-6 of itself.
    """
    tree, found = cKDTree(target), np.eye(4)
    before: Float64[np.ndarray, "2"] = np.full(2, np.inf)
    for _ in range(steps):
        distance, partner = map(np.asarray, tree.query(apply(found, points), distance_upper_bound=reach, workers=-1))
        paired = np.isfinite(distance)
        if paired.sum() < 3:
            return found
        now = np.array([paired.mean(), np.sqrt(np.square(distance[paired]).mean())])
        if (np.abs(now - before) < CONVERGED * now).all():
            return found
        before, found = now, similarity_between(points[paired], target[partner[paired]])
    return found


def one_per_voxel(points: Float64[np.ndarray, "n 3"], voxel: float) -> Float64[np.ndarray, "m 3"]:
    """The mean of the points in each voxel that holds any."""
    if len(points) == 0:
        return points
    x, y, z = np.floor((points - points.min(axis=0)) / voxel).astype(np.int64).T
    _, which = np.unique((x * int(y.max() + 1) + y) * int(z.max() + 1) + z, return_inverse=True)
    count = np.bincount(which)
    return np.stack([np.bincount(which, points[:, k]) / count for k in range(3)], axis=1)
