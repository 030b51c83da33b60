"""Normals of a point cloud that has none: their axes from neighbours, their signs from the shape as a whole."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64, Integer
from scipy.linalg import solve
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree
from scipy.spatial import cKDTree

from neuralfw.errors import UserError
from neuralfw.geometry.point_cloud import MIN_POINTS, PointCloud

Towards = Literal["auto", "outward", "viewpoint", "up"]

WINDING_POINTS = 1500
"""The winding-number system is dense: 1500 points take about half a second and 50 MB."""

_RULES = {"outward": "outwards", "viewpoint": "towards the sensor", "up": "upwards (+z)"}

Vectors = Float64[np.ndarray, "n 3"]


@dataclass(frozen=True, eq=False)
class Orientation:
    """Oriented unit normals and how far to trust their signs.

    Attributes:
        normals: unit, consistently oriented.
        rule: what the normals point to: `outward`, `viewpoint` or `up`.
        agreement: share of the votes, weighted by |cos|, that won in their patch.
        consistency: share of the pairs of neighbours whose normals differ by less than a right angle.
    """

    normals: Vectors
    rule: str
    agreement: float
    consistency: float


def with_normals(cloud: PointCloud, *, neighbors: int = 12, towards: Towards = "auto") -> PointCloud:
    """The same cloud with normals: the file's where it has any, else estimated, oriented and noted.

    Raises:
        UserError: too few points, or `towards = "viewpoint"` where the file states none.
    """
    if cloud.normals is not None:
        return cloud
    axes = estimate_normals(cloud.points, neighbors=neighbors)
    found = orient_normals(cloud.points, axes, neighbors=neighbors, towards=towards, viewpoint=cloud.viewpoint)
    note = (
        f"normals were estimated from {neighbors} neighbours and oriented {_RULES[found.rule]}; "
        f"{100 * found.consistency:.1f} % of neighbouring pairs and {100 * found.agreement:.1f} % of the votes agree"
    )
    doubt = "their sign is doubtful: say where the sensor stood, or give normals"
    return replace(cloud, normals=found.normals).note(note, *([doubt] if found.agreement < 0.7 else []))


def estimate_normals(points: Vectors, *, neighbors: int = 12) -> Vectors:
    """Unit normals up to sign: the direction of least variance among each point and its nearest neighbours (PCA).

    Raises:
        UserError: fewer than 8 points.
    """
    if len(points) < MIN_POINTS:
        raise UserError(f"normals need at least {MIN_POINTS} points, not {len(points)}.")
    centered = points - points.mean(axis=0)
    nearest = _neighbors(centered, neighbors)
    normals = np.empty((len(points), 3))
    for chunk in np.array_split(np.arange(len(points)), len(points) // 65536 + 1):
        patch = centered[nearest[chunk]]
        patch -= patch.mean(axis=1, keepdims=True)
        normals[chunk] = np.linalg.eigh(patch.transpose(0, 2, 1) @ patch).eigenvectors[:, :, 0]
    return normals


def orient_normals(
    points: Vectors,
    normals: Vectors,
    *,
    neighbors: int = 12,
    towards: Towards = "auto",
    viewpoint: Float64[np.ndarray, "3"] | None = None,
) -> Orientation:
    """Choose the sign of each normal.

    Points between which the surface is smooth form patches whose signs follow a minimal spanning tree (Hoppe et al.
    1992); each patch then takes the sign for which most of its points vote. A point votes for its side of the surface
    by the winding number (`outward`), for the sensor (`viewpoint`) or for +z (`up`). `auto` takes `outward` where the
    result is closed, that is, where its normals cancel; else `viewpoint` where one is given within reach of the cloud;
    else `up` for flat, wide clouds such as airborne LiDAR; else `outward`.

    A closed cloud of at most 1500 points is too coarse for patches: each point follows its own vote, and its normal
    becomes the bisector of the given one and the one that the winding number asks for.

    Args:
        points: world positions.
        normals: unit, of any sign.
        neighbors: size of the neighbourhoods.
        towards: see above.
        viewpoint: the sensor's position.

    Raises:
        UserError: `towards = "viewpoint"` without a viewpoint.
    """
    if towards == "viewpoint" and viewpoint is None:
        raise UserError(
            'normals: towards = "viewpoint" needs a file that states the sensor\'s position (PCD VIEWPOINT).'
        )
    centered = points - points.mean(axis=0)
    nearest = _neighbors(centered, neighbors)
    patch, sign = _smooth_patches(centered, normals, nearest)
    signed = normals * sign[:, None]
    if towards in ("auto", "outward"):
        outward = _outward(centered, signed, patch, nearest)
        if towards == "outward" or _is_closed(outward):
            return outward
    if towards == "viewpoint" or (viewpoint is not None and _within_reach(points, viewpoint)):
        return _vote(signed, patch, viewpoint - points, nearest, "viewpoint")
    if towards == "up" or _is_terrain(centered, normals):
        return _vote(signed, patch, np.tile([0.0, 0.0, 1.0], (len(points), 1)), nearest, "up")
    return outward


def _neighbors(points: Vectors, count: int) -> Int64[np.ndarray, "n k"]:
    _, index = cKDTree(points).query(points, k=min(count, len(points) - 1) + 1, workers=-1)
    return np.asarray(index, dtype=np.int64)


def _smooth_patches(
    points: Vectors, normals: Vectors, nearest: Int64[np.ndarray, "n k"]
) -> tuple[Int64[np.ndarray, "n"], Float64[np.ndarray, "n"]]:
    """The patch of each point, and its sign relative to its patch.

    An edge between neighbours is smooth where their normals lie within 37° (cos 0.8) and it runs along the surface, not
    across a thin sheet: within 30° of both tangent planes (sin 0.5).
    """
    n = len(points)
    start, end = np.repeat(np.arange(n), nearest.shape[1] - 1), nearest[:, 1:].ravel()
    along = points[end] - points[start]
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), np.finfo(float).tiny)
    parallel = np.abs(_dot(normals[start], normals[end]))
    across = np.maximum(np.abs(_dot(normals[start], along)), np.abs(_dot(normals[end], along)))
    smooth = (parallel > 0.8) & (across < 0.5)
    cost = (1.0 - parallel + across + 1e-6)[smooth]
    graph = csr_array((cost, (start[smooth], end[smooth])), shape=(n, n))
    tree = minimum_spanning_tree(graph.maximum(graph.T))
    _, labels = connected_components(tree, directed=False)
    patch = labels.astype(np.int64)
    parent = _parents(tree.nonzero(), patch)
    sign = np.where(_dot(normals, normals[parent]) < 0.0, -1.0, 1.0)
    while (parent != parent[parent]).any():
        sign, parent = sign * sign[parent], parent[parent]
    return patch, sign


def _parents(
    edges: tuple[Integer[np.ndarray, "e"], Integer[np.ndarray, "e"]], patch: Int64[np.ndarray, "n"]
) -> Int64[np.ndarray, "n"]:
    """The parent of each node in a forest of one tree for each patch; a root is its own parent."""
    n = len(patch)
    _, roots = np.unique(patch, return_index=True)
    start = np.concatenate([edges[0], np.full(len(roots), n)])  # node n holds the roots together
    end = np.concatenate([edges[1], roots])
    _, found = breadth_first_order(
        csr_array((np.ones(len(end)), (start, end)), shape=(n + 1, n + 1)), n, directed=False
    )
    parent = found[:n].astype(np.int64)
    parent[roots] = roots
    return parent


def _outward(
    points: Vectors, normals: Vectors, patch: Int64[np.ndarray, "n"], nearest: Int64[np.ndarray, "n k"]
) -> Orientation:
    chosen = cKDTree(points).indices[:: -(-len(points) // WINDING_POINTS)]  # leaf order spreads them evenly
    winding = _winding_normals(points[chosen])
    _, seed = cKDTree(points[chosen]).query(points, workers=-1)
    wish = winding[seed]
    found = _vote(normals, patch, wish, nearest, "outward")
    if len(chosen) < len(points) or not _is_closed(found):
        return found
    own = np.sign(_dot(normals, wish))[:, None] * normals
    return replace(found, normals=_unit(own + wish), consistency=_consistency(_unit(own + wish), nearest))


def _winding_normals(points: Vectors) -> Vectors:
    """Unit outward normals of the surface elements μ that give each point the winding number 1/2.

    Gauss's formula w(x) = Σ (y − x)·μ_y / 4π|y − x|³ is linear in μ; of its solutions the least is taken, regularised
    by a diagonal thrice as heavy (Lin et al. 2022, "Surface reconstruction from point clouds without normals by
    parametrizing the Gauss formula"). Within the mean distance of ten neighbours the kernel is capped.
    """
    count = min(10, len(points) - 1)
    distance, _ = cKDTree(points).query(points, k=count + 1)
    width = np.median(np.asarray(distance)[:, 1:].mean(axis=1))
    scaled = (points / width).astype(np.float32)
    offset = scaled[None] - scaled[:, None]
    reach = np.maximum(np.linalg.norm(offset, axis=2, keepdims=True), 1.0)
    A = (offset / (4.0 * np.pi * reach**3)).reshape(len(points), -1)
    gram = (A @ A.T).astype(np.float64)
    gram[np.diag_indices_from(gram)] *= 3.0
    weight = solve(gram, np.full(len(points), 0.5), assume_a="pos")
    return _unit((A.T @ weight.astype(np.float32)).reshape(-1, 3).astype(np.float64))


def _vote(
    normals: Vectors, patch: Int64[np.ndarray, "n"], wish: Vectors, nearest: Int64[np.ndarray, "n k"], rule: str
) -> Orientation:
    """Flip the patches whose normals point, on the whole, against the direction that their points wish."""
    vote = _dot(normals, _unit(wish))
    total = np.bincount(patch, vote)
    oriented = normals * np.where(total < 0.0, -1.0, 1.0)[patch][:, None]
    cast = np.abs(vote).sum()
    winning = np.where(total[patch] * vote > 0.0, np.abs(vote), 0.0).sum()
    return Orientation(oriented, rule, float(winning / cast) if cast else 0.0, _consistency(oriented, nearest))


def _consistency(normals: Vectors, nearest: Int64[np.ndarray, "n k"]) -> float:
    return float((np.einsum("nj,nkj->nk", normals, normals[nearest[:, 1:]]) > 0.0).mean())


def _is_closed(found: Orientation) -> bool:
    return bool(np.linalg.norm(found.normals.mean(axis=0)) < 0.3 and found.agreement > 0.75)


def _within_reach(points: Vectors, viewpoint: Float64[np.ndarray, "3"]) -> bool:
    """Files state the origin by habit: a sensor lies outside the cloud's box, but within 30 of its diagonals."""
    low, high = points.min(axis=0), points.max(axis=0)
    gap = np.linalg.norm(np.maximum(np.maximum(low - viewpoint, viewpoint - high), 0.0))
    return bool(0.0 < gap < 30.0 * np.linalg.norm(high - low))


def _is_terrain(points: Vectors, normals: Vectors) -> bool:
    low, high = np.percentile(points, (1.0, 99.0), axis=0)
    width, depth, height = high - low
    return bool(height < 0.5 * min(width, depth) and np.abs(normals[:, 2]).mean() > 0.6)


def _dot(a: Vectors, b: Vectors) -> Float64[np.ndarray, "n"]:
    cosine: Float64[np.ndarray, "n"] = np.einsum("nj,nj->n", a, b)
    return cosine


def _unit(vectors: Vectors) -> Vectors:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0.0, length, 1.0)
