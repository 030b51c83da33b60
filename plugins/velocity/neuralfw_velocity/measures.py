"""How well a carried mesh meets the target, what it keeps on the way, and how near it comes to true frames between."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64
from scipy.spatial import cKDTree

from neuralfw.errors import UserError
from neuralfw.geometry import Mesh, PointCloud
from neuralfw.metrics.deformation import rmse
from neuralfw.metrics.nearest import nearest
from neuralfw.metrics.surface import Shape, draw, surface_distances

SAMPLES = 200_000
MOMENTS = tuple(np.linspace(0.0, 1.0, 41).tolist())
"""Times among which a true frame finds the one that fits it best."""
AROUND = 24
"""Vertices about a face that say how the mesh turns there."""


def against_target(source: Mesh, end: Mesh, target: Mesh | PointCloud) -> dict[str, float]:
    """Return Chamfer and Hausdorff distance in per cent of the target's diagonal, and shares of faces.

    Those are the faces that the way from the source turned over (`flipped`), and that look against the target's. The
    figures with a factor are lengths for a source of area 1, as 4Deform (arXiv 2502.20208) tabulates them.
    """
    distances = surface_distances(end, target, samples=SAMPLES)
    percent, length = 100.0 / diagonal(target), source.area**-0.5
    chamfer = 0.5 * (distances.accuracy.mean + distances.completeness.mean)
    hausdorff = max(distances.accuracy.max, distances.completeness.max)
    found = {
        "chamfer_percent": percent * chamfer,
        "hausdorff_percent": percent * hausdorff,
        "chamfer_x1000": 1e3 * length * chamfer,
        "hausdorff_x100": 1e2 * length * hausdorff,
        "flipped_percent": 100.0 * float(flipped(source, end).mean()),
        "opposed_percent": 100.0 * float(opposed(end, target).mean()),
    }
    if isinstance(target, Mesh) and len(target.vertices) == len(end.vertices) and (target.faces == end.faces).all():
        found["vertices_rmse_percent"] = percent * rmse(end.vertices, target.vertices)
    return found


def kept(source: Mesh, moved: Mesh) -> dict[str, float]:
    """Return by how much surface area and volume differ from the source's, in per cent."""
    found = {"area_percent": 100.0 * (moved.area / source.area - 1.0)}
    if abs(source.volume) > 0.0:
        found["volume_percent"] = 100.0 * (moved.volume / source.volume - 1.0)
    return found


def half_area(source: Mesh, half: Mesh, target: Mesh) -> float:
    """Return by how much the surface area at half time differs from the mean of the two shapes', in per cent."""
    return 100.0 * (2.0 * half.area / (source.area + target.area) - 1.0)


def area_deviation(source: Mesh, moments: Sequence[Mesh]) -> float:
    """Return the standard deviation of the surface area over meshes, for a source of area 1 (4Deform's SA σ)."""
    return float(np.std([mesh.area / source.area for mesh in moments]))


def flipped(source: Mesh, moved: Mesh) -> Bool[np.ndarray, "f"]:
    """Mark the faces that are turned over: whose normal looks against where their surroundings turned it.

    The surroundings are the vertices next to the face in the source, and the rotation that fits their motion best.
    """
    near = cKDTree(source.vertices).query(source.triangles.mean(axis=1), min(AROUND, len(source.vertices)))[1]
    before, after = (_centered(mesh.vertices[near]) for mesh in (source, moved))
    u, _, vt = np.linalg.svd(before.mT @ after)
    u[:, :, 2] *= np.sign(np.linalg.det(u @ vt))[:, None]
    turned = np.einsum("fi,fij->fj", source.face_normals, u @ vt)
    return np.asarray((turned * moved.face_normals).sum(axis=1) < 0.0)


def _centered(points: Float64[np.ndarray, "f k 3"]) -> Float64[np.ndarray, "f k 3"]:
    return np.asarray(points - points.mean(axis=1, keepdims=True))


def opposed(mesh: Mesh, target: Shape, seed: int = 0) -> Bool[np.ndarray, "f"]:
    """Mark the faces that look against the target's surface where it is nearest to their middle.

    For meshes of one connectivity it is the target's same face that they look against. Otherwise details that the
    target does not have count too, and thin parts: a cat of 14,410 faces has 1.0 % of them against its own samples.
    """
    if isinstance(target, Mesh) and target.faces.shape == mesh.faces.shape and (target.faces == mesh.faces).all():
        return np.asarray((mesh.face_normals * target.face_normals).sum(axis=1) < 0.0)
    points, normals = draw(target, SAMPLES, np.random.default_rng(seed))
    if normals is None:
        raise UserError("the target has no normals, so nothing says which faces look against it")
    found = nearest(mesh.triangles.mean(axis=1), points).target
    return np.asarray((mesh.face_normals * normals[found]).sum(axis=1) < 0.0)


def between_ends(
    source: Mesh,
    target: Mesh,
    moments: Sequence[Mesh],
    true: Sequence[Mesh],
    names: Sequence[Path],
) -> list[dict[str, Any]]:
    """Return for each true frame how near the carried mesh at `MOMENTS` and straight lines come to it, at their best.

    Distances are root mean squares over the vertices, in per cent of the frame's diagonal.

    Raises:
        UserError: a frame has another number of vertices than the source.
    """
    found = []
    for frame, name in zip(true, names, strict=True):
        if len(frame.vertices) != len(source.vertices):
            raise UserError(f"{name} has {len(frame.vertices):,} vertices, but the source has {len(source.vertices):,}")
        percent = 100.0 / diagonal(frame)
        ours = [rmse(mesh.vertices, frame.vertices) for mesh in moments]
        lines = [rmse((1 - t) * source.vertices + t * target.vertices, frame.vertices) for t in MOMENTS]
        found.append({
            "frame": name.name,
            "carried_rmse_percent": percent * min(ours),
            "carried_rmse_x10": 10.0 * source.area**-0.5 * min(ours),
            "carried_at": MOMENTS[int(np.argmin(ours))],
            "straight_rmse_percent": percent * min(lines),
            "straight_at": MOMENTS[int(np.argmin(lines))],
        })  # fmt: skip
    return found


def diagonal(shape: Shape) -> float:
    """Return the diagonal of a shape's box."""
    points = shape.vertices if isinstance(shape, Mesh) else shape.points
    return float(np.linalg.norm(np.ptp(points, axis=0)))
