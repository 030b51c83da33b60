"""The Tanks and Temples protocol (Knapitsch et al. 2017): F-score at a threshold, after registration and crop.

Of the official toolbox this keeps the order and the numbers: the centres of the cameras brought onto the official ones
by RANSAC, three rounds of point-to-point ICP with scale inside the crop, thinning to one point a voxel of half the
threshold, strict `<`. The toolbox scores a mesh by its vertices; here the mesh is sampled uniformly, so that finer
triangles do not raise the score. Its RANSAC draws six pairs a time and keeps the best draw as it is; ours draws three
and refits to all that agree.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from neuralfw.errors import UserError
from neuralfw.geometry import Mesh, PointCloud, read_point_cloud, sample_surface
from neuralfw.geometry.files import existing_file

from .figure import figure
from .nearest import nearest_both_ways
from .registration import apply, closest_points, consensus, one_per_voxel

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

REACH = 0.2
"""How far from its official centre an aligned camera may be, in metres."""


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
        scan: Ignatius.ply, say; Ignatius.json and Ignatius_trans.txt lie beside it. The latter brings the world of the
            official camera poses to the scan; `align_cameras` brings any other there.

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


def read_trajectory(path: Path) -> Float64[np.ndarray, "n 3"]:
    """Read the centres of cameras from a log: five lines each, of which the first is its number, then its pose.

    Raises:
        UserError: the file is absent or of another kind.
    """
    lines = existing_file(path).read_text(encoding="utf-8", errors="replace").splitlines()
    lines = [line for line in lines if line.strip()]
    try:
        rows = [line.split() for i, line in enumerate(lines) if i % 5]
        poses = np.array(rows, dtype=np.float64).reshape(-1, 4, 4)
        if not len(poses) or not np.isfinite(poses).all():
            raise ValueError("no cameras, or numbers that are not finite")
    except ValueError as error:
        raise UserError(f"{path} is no log of cameras, five lines each: {error}") from error
    return np.ascontiguousarray(poses[:, :3, 3])


@dataclass(frozen=True, eq=False)
class CameraAlignment:
    """A similarity from the world of some cameras to a scan.

    Attributes:
        similarity: the matrix.
        cameras: how many have a partner; of these, `agreeing` are within `REACH` of it.
        distance: root mean square of theirs, in metres.
    """

    similarity: Float64[np.ndarray, "4 4"]
    cameras: int
    agreeing: int
    distance: float

    def __str__(self) -> str:
        return f"aligned by {self.agreeing} of {self.cameras} cameras, which are {self.distance:.2g} m off"


def align_cameras(
    centers: Mapping[str, Float64[np.ndarray, "3"]],
    log: Float64[np.ndarray, "n 3"],
    placing: Float64[np.ndarray, "4 4"],
    *,
    seed: int = 0,
) -> CameraAlignment:
    """Bring a reconstruction to the scan by where its cameras are, some of which may be wrong.

    Args:
        centers: of the cameras in the mesh's world, by the name of the photograph.
        log: centres of the official cameras; all of them in the order of the names, or photograph 00012 is the 12th.
        placing: from the official cameras' world to the scan, as Ignatius_trans.txt has it.
        seed: of RANSAC.

    Raises:
        UserError: the photographs cannot be told apart by number, or too few cameras agree.
    """
    names = sorted(centers)
    numbers = [int(found[-1]) if (found := re.findall(r"\d+", Path(n).stem)) else 0 for n in names]
    if len(names) == len(log):
        partners = np.arange(len(log))
    elif len({*numbers}) == len(names) and min(numbers, default=0) >= 1 and max(numbers) <= len(log):
        partners = np.array(numbers) - 1
    else:
        raise UserError(
            f"protocol tanks_and_temples: {len(names)} photographs do not match the {len(log)} cameras of the official"
            " log. Take the scene's image set, under its own names (000001.jpg and so on)."
        )
    a, b = np.stack([centers[name] for name in names]).astype(np.float64), apply(placing, log[partners])
    try:
        similarity, agree = consensus(a, b, REACH, seed=seed)
    except UserError as error:
        raise UserError(f"protocol tanks_and_temples: the cameras do not match the official ones: {error}") from error
    distance = np.linalg.norm(apply(similarity, a[agree]) - b[agree], axis=1)
    return CameraAlignment(similarity, len(a), int(agree.sum()), float(np.sqrt(np.square(distance).mean())))


def evaluate_tanks_and_temples(
    mesh: Mesh,
    reference: PointCloud,
    threshold: float,
    *,
    alignment: CameraAlignment | Float64[np.ndarray, "4 4"] | None = None,
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
        alignment: similarity from the mesh's world to the scan's, given or found; None where they are the same.
        crop: in the scan's frame.
        register: refine the alignment by ICP, in which the mesh takes part as the official toolbox has it.
        samples: points drawn from the mesh, uniform by area.
        seed: of the samples.

    Raises:
        UserError: nothing is left to compare.
    """
    points, _ = sample_surface(mesh, samples, np.random.default_rng(seed))
    aligned = "aligned as given"
    if isinstance(alignment, CameraAlignment):
        aligned, alignment = str(alignment), alignment.similarity
    found = np.eye(4) if alignment is None else alignment
    if register:
        found = _registered(points, reference.points, found, crop, threshold)
    points = apply(found, points)
    sides = []
    for name, cloud in (("mesh", points), ("scan", reference.points)):
        kept = one_per_voxel(cloud if crop is None else cloud[crop.contains(cloud)], threshold / 2)
        if len(kept) == 0:
            raise UserError(f"protocol tanks_and_temples: nothing of the {name} lies in the crop. Is it aligned?")
        sides.append(kept)
    to_scan, to_mesh = nearest_both_ways(sides[0], sides[1])
    precision, recall = (float((side.distance < threshold).mean()) for side in (to_scan, to_mesh))
    score = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {
        "protocol": "tanks_and_temples",
        "summary": "; ".join(
            [
                "Tanks and Temples, the mesh sampled uniformly",
                aligned,
                "refined by ICP" if register else "not refined",
            ]
        ),
        "seed": seed,
        "samples": {"prediction": len(sides[0]), "reference": len(sides[1])},
        "length": "units of the scan",
        "world_to_scan": found.tolist(),
        "metrics": {
            "precision": figure(precision, "1", "higher", f"Share of the mesh less than {threshold:g} from the scan."),
            "recall": figure(recall, "1", "higher", f"Share of the scan less than {threshold:g} from the mesh."),
            "f_score": figure(score, "1", "higher", "Harmonic mean of precision and recall."),
        },
        "omitted": {},
    }


def _registered(
    points: Float64[np.ndarray, "n 3"],
    scan: Float64[np.ndarray, "m 3"],
    start: Float64[np.ndarray, "4 4"],
    crop: Crop | None,
    threshold: float,
) -> Float64[np.ndarray, "4 4"]:
    """Refine an alignment by three rounds of ICP, ever finer, of what then lies in the crop."""
    found, target = start, scan if crop is None else scan[crop.contains(scan)]
    for voxel, reach in ((1.0, 80.0), (0.5, 20.0), (None, 2.0)):
        moved = apply(found, points)
        moved = moved if crop is None else moved[crop.contains(moved)]
        pair = moved, target
        a, b = (_every(p, SAMPLES) if voxel is None else one_per_voxel(p, voxel * threshold) for p in pair)
        if len(a) and len(b):
            found = closest_points(a, b, reach * threshold) @ found
    return found


def _every(points: Float64[np.ndarray, "n 3"], most: int) -> Float64[np.ndarray, "m 3"]:
    """Every so many-th point, so that about `most` are left of more."""
    return points[:: max(1, round(len(points) / most))]
