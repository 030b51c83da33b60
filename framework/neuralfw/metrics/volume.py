"""What lies inside a closed mesh, and how far two insides agree."""

import numpy as np
from jaxtyping import Bool, Float64, Int64

from neuralfw.geometry import Mesh

CHUNK = 2**21  # pairs of a point and a triangle held at once


def contains(mesh: Mesh, points: Float64[np.ndarray, "n 3"]) -> Bool[np.ndarray, "n"]:
    """Which points lie inside a closed mesh: those with an odd number of faces straight above them.

    Faces are binned by their projection along z, so a point meets only those of its own bin. Points exactly above an
    edge, which a random point never is, may be judged wrongly.
    """
    low, high = mesh.vertices[:, :2].min(axis=0), mesh.vertices[:, :2].max(axis=0)
    inside = np.zeros(len(points), dtype=bool)
    candidates = np.flatnonzero(((points[:, :2] >= low) & (points[:, :2] <= high)).all(axis=1))
    if len(candidates) == 0:
        return inside
    side = int(np.clip(np.sqrt(len(mesh.faces)), 1, 1024))
    scale = side / np.maximum(high - low, np.finfo(float).tiny)
    face_bin, face = _bin_faces(((mesh.triangles[:, :, :2] - low) * scale), side)
    starts = np.searchsorted(face_bin, np.arange(side**2 + 1))

    cell = np.minimum(((points[candidates, :2] - low) * scale).astype(int), side - 1)
    point_bin = cell[:, 0] * side + cell[:, 1]
    pairs = starts[point_bin + 1] - starts[point_bin]
    batches = np.searchsorted(np.cumsum(pairs), np.arange(CHUNK, pairs.sum(), CHUNK))
    for batch in np.split(np.arange(len(candidates)), batches):
        owner, offset = _ragged(pairs[batch])
        hit = face[starts[point_bin[batch]][owner] + offset]
        below = _is_below(points[candidates[batch]][owner], mesh.triangles[hit])
        inside[candidates[batch]] = np.bincount(owner[below], minlength=len(batch)) % 2 == 1
    return inside


def volume_iou(a: Mesh, b: Mesh, *, samples: int = 100_000, seed: int = 0) -> float:
    """Intersection over union of the insides of two closed meshes, by points uniform in the box around both."""
    vertices = np.concatenate([a.vertices, b.vertices])
    points = np.random.default_rng([seed, 2]).uniform(vertices.min(axis=0), vertices.max(axis=0), (samples, 3))
    in_a, in_b = contains(a, points), contains(b, points)
    union = int((in_a | in_b).sum())
    return int((in_a & in_b).sum()) / union if union else 0.0


def _bin_faces(
    corners: Float64[np.ndarray, "f 3 2"], side: int
) -> tuple[Int64[np.ndarray, "p"], Int64[np.ndarray, "p"]]:
    """The bins that the bounding rectangle of each face touches, sorted, with the faces."""
    first = np.clip(np.floor(corners.min(axis=1)).astype(int), 0, side - 1)
    last = np.clip(np.floor(corners.max(axis=1)).astype(int), 0, side - 1)
    span = last - first + 1
    face, offset = _ragged(span[:, 0] * span[:, 1])
    row, column = offset // span[face, 1], offset % span[face, 1]
    bins = (first[face, 0] + row) * side + first[face, 1] + column
    order = np.argsort(bins, kind="stable")
    return bins[order], face[order]


def _ragged(counts: Int64[np.ndarray, "n"]) -> tuple[Int64[np.ndarray, "total"], Int64[np.ndarray, "total"]]:
    """Rows of different lengths laid end to end: the row of each entry, and its place within the row."""
    row = np.repeat(np.arange(len(counts)), counts)
    return row, np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)


def _is_below(points: Float64[np.ndarray, "p 3"], triangles: Float64[np.ndarray, "p 3 3"]) -> Bool[np.ndarray, "p"]:
    """Whether a ray upwards from each point goes through its triangle."""
    corner = triangles - points[:, None]
    following = np.roll(corner, -1, axis=1)
    turn = corner[:, :, 0] * following[:, :, 1] - corner[:, :, 1] * following[:, :, 0]
    through = (turn > 0).all(axis=1) | (turn < 0).all(axis=1)
    weight = np.roll(turn, -1, axis=1)
    height = np.einsum("pk,pk->p", weight, corner[:, :, 2])
    below: np.ndarray = through & (height * weight.sum(axis=1) > 0)
    return below
