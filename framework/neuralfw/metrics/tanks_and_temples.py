"""The Tanks and Temples protocol (Knapitsch et al. 2017): F-score at a threshold, after registration and crop.

Of the official toolbox this keeps the order and the numbers: the given alignment, three rounds of point-to-point ICP
with scale, the crop, thinning to one point a voxel of half the threshold, strict `<`. The toolbox scores a mesh by its
vertices; here the mesh is sampled uniformly, so that finer triangles do not raise the score.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64
from scipy.spatial import cKDTree

from neuralfw.errors import UserError
from neuralfw.geometry import Mesh, PointCloud, read_point_cloud, sample_surface
from neuralfw.geometry.files import existing_file

from .figure import figure
from .nearest import nearest_both_ways

THRESHOLDS = {
    "Barn": 0.01,
    "Caterpillar": 0.005,
    "Church": 0.025,
    "Courthouse": 0.025,
    "Ignatius": 0.003,
    "Meetingroom": 0.01,
    "Truck": 0.005,
}
"""Of each training scene, in metres."""

SAMPLES = 4_000_000


@dataclass(frozen=True, eq=False)
class Crop:
    """A prism: a polygon across one axis, and a range along it.

    Attributes:
        axis: 0, 1 or 2.
        low: along the axis; `high` likewise.
        polygon: its corners; their coordinate along the axis means nothing.
    """

    axis: int
    low: float
    high: float
    polygon: Float64[np.ndarray, "k 3"]

    @classmethod
    def read(cls, path: Path) -> Crop:
        """Read a scene's crop file, as Open3D writes it.

        Raises:
            UserError: it is absent or of another kind.
        """
        try:
            document = json.loads(existing_file(path).read_text(encoding="utf-8"))
            polygon = np.array(document["bounding_polygon"], dtype=np.float64)
            if polygon.ndim != 2 or polygon.shape[1] != 3 or len(polygon) < 3:
                raise ValueError("bounding_polygon must hold at least three points")
            axis = "XYZ".index(document["orthogonal_axis"].upper())
            return cls(axis, float(document["axis_min"]), float(document["axis_max"]), polygon)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path} is not a crop file of Tanks and Temples: {error}") from error

    def contains(self, points: Float64[np.ndarray, "n 3"]) -> Bool[np.ndarray, "n"]:
        """Mark the points inside (even-odd rule)."""
        u, v = (k for k in range(3) if k != self.axis)
        x, y = points[:, u], points[:, v]
        inside = np.zeros(len(points), dtype=bool)
        for a, b in zip(self.polygon, np.roll(self.polygon, -1, axis=0), strict=True):
            if a[v] != b[v]:
                across = (a[v] > y) != (b[v] > y)
                inside ^= across & (x < a[u] + (y - a[v]) / (b[v] - a[v]) * (b[u] - a[u]))
        along = points[:, self.axis]
        kept: Bool[np.ndarray, "n"] = inside & (along >= self.low) & (along <= self.high)
        return kept


def read_scene(scan: Path) -> dict[str, Any]:
    """Read a scene as the official toolbox lays it out, as arguments of `evaluate_tanks_and_temples`.

    Args:
        scan: Ignatius.ply, say; Ignatius.json and Ignatius_trans.txt lie beside it. The mesh must be in the world of
            the official camera poses, which the latter brings to the scan.

    Raises:
        UserError: a file is absent or of another kind, or the scene has no known threshold.
    """
    if scan.stem not in THRESHOLDS:
        raise UserError(
            f"protocol tanks_and_temples: the reference must be called like its scene, such as Ignatius.ply, not"
            f" {scan.name}; known are {', '.join(THRESHOLDS)}."
        )
    placing = existing_file(scan.with_name(f"{scan.stem}_trans.txt"))
    try:
        alignment = np.loadtxt(placing, dtype=np.float64, ndmin=2)
    except ValueError as error:
        raise UserError(f"{placing} is no 4 x 4 matrix: {error}") from error
    if alignment.shape != (4, 4):
        raise UserError(f"{placing} holds {alignment.shape} numbers; a 4 x 4 matrix was expected.")
    crop, cloud = Crop.read(scan.with_suffix(".json")), read_point_cloud(scan)
    return {"reference": cloud, "threshold": THRESHOLDS[scan.stem], "alignment": alignment, "crop": crop}


def evaluate_tanks_and_temples(
    mesh: Mesh,
    reference: PointCloud,
    threshold: float,
    *,
    alignment: Float64[np.ndarray, "4 4"] | None = None,
    crop: Crop | None = None,
    register: bool = True,
    samples: int = SAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Score a mesh against a laser scan.

    Args:
        mesh: in the world of its cameras.
        reference: the scan.
        threshold: tau, in the scan's units; see `THRESHOLDS`.
        alignment: similarity from the mesh's world to the scan's; None where they are the same.
        crop: in the scan's frame.
        register: refine the alignment by ICP, in which the mesh takes part as the official toolbox has it.
        samples: points drawn from the mesh, uniform by area.
        seed: of the samples.

    Raises:
        UserError: nothing is left to compare.
    """
    points, _ = sample_surface(mesh, samples, np.random.default_rng(seed))
    points = apply(np.eye(4) if alignment is None else alignment, points)
    found = np.eye(4)
    if register:
        cropped = reference.points if crop is None else reference.points[crop.contains(reference.points)]
        for voxel, reach in ((1.0, 80.0), (0.5, 20.0), (0.5, 2.0)):
            thin, target = (_one_per_voxel(cloud, voxel * threshold) for cloud in (points, cropped))
            found = _icp(thin, target, found, reach * threshold)
        points = apply(found, points)
    sides = []
    for name, cloud in (("mesh", points), ("scan", reference.points)):
        kept = _one_per_voxel(cloud if crop is None else cloud[crop.contains(cloud)], threshold / 2)
        if len(kept) == 0:
            raise UserError(f"protocol tanks_and_temples: nothing of the {name} lies in the crop. Is it aligned?")
        sides.append(kept)
    to_scan, to_mesh = nearest_both_ways(sides[0], sides[1])
    precision, recall = (float((side.distance < threshold).mean()) for side in (to_scan, to_mesh))
    score = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {
        "protocol": "tanks_and_temples",
        "summary": "Tanks and Temples, the mesh sampled uniformly" + ("" if register else ", not registered"),
        "seed": seed,
        "samples": {"prediction": len(sides[0]), "reference": len(sides[1])},
        "length": "units of the scan",
        "registration": found.tolist(),
        "metrics": {
            "precision": figure(precision, "1", "higher", f"Share of the mesh less than {threshold:g} from the scan."),
            "recall": figure(recall, "1", "higher", f"Share of the scan less than {threshold:g} from the mesh."),
            "f_score": figure(score, "1", "higher", "Harmonic mean of precision and recall."),
        },
        "omitted": {},
    }


def apply(similarity: Float64[np.ndarray, "4 4"], points: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3"]:
    """Points moved by a similarity."""
    moved: Float64[np.ndarray, "n 3"] = points @ similarity[:3, :3].T + similarity[:3, 3]
    return moved


def similarity_between(a: Float64[np.ndarray, "n 3"], b: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "4 4"]:
    """The similarity that brings points `a` nearest to their partners `b` by least squares (Umeyama 1991)."""
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    x, y = a - mean_a, b - mean_b
    left, singular, right = np.linalg.svd(y.T @ x)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = (left * signs) @ right
    scale = float((singular * signs).sum() / np.square(x).sum())
    found = np.eye(4)
    found[:3, :3] = scale * rotation
    found[:3, 3] = mean_b - scale * rotation @ mean_a
    return found


def _icp(
    points: Float64[np.ndarray, "n 3"],
    target: Float64[np.ndarray, "m 3"],
    start: Float64[np.ndarray, "4 4"],
    reach: float,
    steps: int = 20,
) -> Float64[np.ndarray, "4 4"]:
    """Iterated closest points with scale; pairs farther apart than the reach do not count."""
    tree, found = cKDTree(target), start
    for _ in range(steps):
        distance, partner = tree.query(apply(found, points), distance_upper_bound=reach, workers=-1)
        paired = np.isfinite(distance)
        if paired.sum() < 3:
            return found
        found = similarity_between(points[paired], target[np.asarray(partner)[paired]])
    return found


def _one_per_voxel(points: Float64[np.ndarray, "n 3"], voxel: float) -> Float64[np.ndarray, "m 3"]:
    """The mean of the points in each voxel that holds any."""
    if len(points) == 0:
        return points
    x, y, z = np.floor((points - points.min(axis=0)) / voxel).astype(np.int64).T
    _, which = np.unique((x * int(y.max() + 1) + y) * int(z.max() + 1) + z, return_inverse=True)
    count = np.bincount(which)
    return np.stack([np.bincount(which, points[:, k]) / count for k in range(3)], axis=1)
