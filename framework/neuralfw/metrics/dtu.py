"""The DTU protocol (Jensen et al. 2014; the Python form that the field uses): accuracy, completeness, Chamfer in mm.

Of a mesh in DTU's millimetres: vertices and a lattice of points 0.2 mm apart in each triangle, thinned greedily to
0.2 mm, in the order of a seeded shuffle. The field culls meshes by the photographs' masks before (protocol
`dtu_culled`); `dtu` takes them as they are. Accuracy counts the points inside the scan's observability mask,
completeness the points of the structured-light scan above the ground plane; distances of 20 mm and more are dropped
from either mean, which forgives what is missing: how many were dropped stands beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64
from scipy.io import loadmat
from scipy.spatial import cKDTree

from neuralfw.errors import UserError
from neuralfw.geometry import Mesh, read_point_cloud

from .culling import DILATION, MaskedView, cull_by_masks
from .figure import figure
from .nearest import nearest

SPACING = 0.2
MOST = 20.0
BELOW, ABOVE = 60.0, 120.0


@dataclass(frozen=True, eq=False)
class DtuScan:
    """The official ground truth of a scan, in millimetres.

    Attributes:
        points: of the structured-light scan.
        observed: which voxels were observed.
        lower: corner of the box of voxels; `upper` is the other.
        voxel: edge of a voxel.
        plane: (a, b, c, d): points with ax + by + cz + d > 0 lie above the table.
    """

    points: Float64[np.ndarray, "n 3"]
    observed: Bool[np.ndarray, "x y z"]
    lower: Float64[np.ndarray, "3"]
    upper: Float64[np.ndarray, "3"]
    voxel: float
    plane: Float64[np.ndarray, "4"]

    @classmethod
    def read(cls, cloud: Path) -> DtuScan:
        """Read the official files: Points/stl/stl037_total.ply, ObsMask/ObsMask37_10.mat and ObsMask/Plane37.mat.

        Args:
            cloud: the first of them.

        Raises:
            UserError: a file is absent, or not what it should be.
        """
        named = re.fullmatch(r"stl(\d{3})_total\.ply", cloud.name)
        if named is None or len(cloud.parents) < 3:
            raise UserError(f"protocol dtu: the reference must be .../Points/stl/stl037_total.ply, not {cloud}.")
        folder, scan = cloud.parents[2], int(named[1])
        mask, plane = folder / f"ObsMask/ObsMask{scan}_10.mat", folder / f"ObsMask/Plane{scan}.mat"
        if absent := [str(path) for path in (cloud, mask, plane) if not path.is_file()]:
            raise UserError(
                f"protocol dtu: {', '.join(absent)} of DTU's ground truth are absent. They come in SampleSet.zip and"
                " Points.zip of https://roboimagedata.compute.dtu.dk; protocol reference_points measures to any cloud."
            )
        try:
            observed, ground = loadmat(mask), loadmat(plane)
            box = np.asarray(observed["BB"], dtype=np.float64)
            return cls(
                points=read_point_cloud(cloud).points,
                observed=np.asarray(observed["ObsMask"]) > 0,
                lower=box[0],
                upper=box[1],
                voxel=float(np.asarray(observed["Res"]).reshape(-1)[0]),
                plane=np.asarray(ground["P"], dtype=np.float64).reshape(4),
            )
        except (KeyError, ValueError, IndexError, NotImplementedError) as error:
            raise UserError(f"protocol dtu: {mask} or {plane} is not DTU's ground truth: {error}") from error


def evaluate_dtu(
    mesh: Mesh, scan: DtuScan, *, views: Iterable[MaskedView] | None = None, seed: int = 0
) -> dict[str, Any]:
    """Compare a mesh in DTU's millimetres with a scan.

    Args:
        mesh: in the scan's coordinates.
        scan: the ground truth.
        views: cameras and masks by which the mesh is culled first; None for the mesh as it is.
        seed: of the shuffle.

    Raises:
        UserError: nothing of the mesh lies in the scan's observed volume, or inside the masks.
    """
    culling = "the mesh as it is, not culled"
    if views is not None:
        mesh = cull_by_masks(mesh, views)
        culling = f"the mesh culled by the photographs' masks, dilated by {1600 * DILATION:g} pixels in a width of 1600"
    points = thinned(dense_points(mesh, SPACING), SPACING, np.random.default_rng(seed))
    points = points[((points >= scan.lower - BELOW) & (points < scan.upper + ABOVE)).all(axis=1)]
    inside = points[_observed(points, scan)]
    above = scan.points[scan.points @ scan.plane[:3] + scan.plane[3] > 0]
    if len(inside) == 0:
        raise UserError("protocol dtu: nothing of the mesh lies where the scan observed. Is it in DTU's millimetres?")
    accuracy, completeness = nearest(inside, scan.points).distance, nearest(above, points).distance
    chamfer = 0.5 * (_mean(accuracy) + _mean(completeness))
    return {
        "protocol": "dtu" if views is None else "dtu_culled",
        "summary": f"DTU: all points 0.2 mm apart, distances of 20 mm and more dropped; {culling}",
        "seed": seed,
        "samples": {"prediction": len(points), "reference": len(above)},
        "length": "mm",
        "metrics": {
            "accuracy": figure(_mean(accuracy), "mm", "lower", "Mean distance from mesh to scan, inside the mask."),
            "completeness": figure(_mean(completeness), "mm", "lower", "Mean distance from scan above plane to mesh."),
            "chamfer": figure(chamfer, "mm", "lower", "Half the sum of accuracy and completeness."),
            "accuracy_dropped": figure(_dropped(accuracy), "1", "lower", "Share of its distances that were dropped."),
            "completeness_dropped": figure(_dropped(completeness), "1", "lower", "The same of completeness."),
            "f_score_1mm": _f_score(accuracy, completeness, 1.0),
            "f_score_2mm": _f_score(accuracy, completeness, 2.0),
        },
        "omitted": {},
    }


def dense_points(mesh: Mesh, spacing: float) -> Float64[np.ndarray, "n 3"]:
    """The vertices, and points in each triangle on a lattice along two of its edges whose cells have area spacing²."""
    a, e1, e2 = mesh.triangles[:, 0], *(mesh.triangles[:, k] - mesh.triangles[:, 0] for k in (1, 2))
    l1, l2 = np.linalg.norm(e1, axis=1), np.linalg.norm(e2, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        step = spacing * np.sqrt(l1 * l2 / (2.0 * mesh.face_areas))
        counts = np.stack([np.floor(l1 / step), np.floor(l2 / step)], axis=1)
    counts = np.where(np.isfinite(counts), counts, 0.0).astype(np.int64)
    parts = [mesh.vertices]
    for n1, n2 in np.unique(counts[(counts > 0).all(axis=1)], axis=0):
        group = (counts == (n1, n2)).all(axis=1)
        u, v = ((np.arange(n) + 0.5) / n for n in (n1, n2))
        u, v = (x.ravel() for x in np.meshgrid(u, v, indexing="ij"))
        u, v = u[u + v < 1], v[u + v < 1]
        inner = a[group, None] + u[:, None] * e1[group, None] + v[:, None] * e2[group, None]
        parts.append(inner.reshape(-1, 3))
    return np.concatenate(parts)


def thinned(points: Float64[np.ndarray, "n 3"], radius: float, rng: np.random.Generator) -> Float64[np.ndarray, "m 3"]:
    """Points of which none lies within a radius of another: in a random order, each removes those around it."""
    shuffled = points[rng.permutation(len(points))]
    tree, keep = cKDTree(shuffled), np.ones(len(points), dtype=bool)
    for start in range(0, len(points), 65536):
        chunk = np.arange(start, min(start + 65536, len(points)))
        chunk = chunk[keep[chunk]]
        for index, around in zip(chunk, tree.query_ball_point(shuffled[chunk], radius, workers=-1), strict=True):
            if keep[index]:
                keep[around] = False
                keep[index] = True
    return shuffled[keep]


def _observed(points: Float64[np.ndarray, "n 3"], scan: DtuScan) -> Bool[np.ndarray, "n"]:
    voxel = np.round((points - scan.lower) / scan.voxel).astype(np.int64)
    inside: Bool[np.ndarray, "n"] = ((voxel >= 0) & (voxel < scan.observed.shape)).all(axis=1)
    inside[inside] = scan.observed[tuple(voxel[inside].T)]
    return inside


def _mean(distance: Float64[np.ndarray, "n"]) -> float:
    near = distance[distance < MOST]
    return float(near.mean()) if len(near) else MOST


def _dropped(distance: Float64[np.ndarray, "n"]) -> float:
    return float((distance >= MOST).mean())


def _f_score(
    accuracy: Float64[np.ndarray, "n"], completeness: Float64[np.ndarray, "m"], limit: float
) -> dict[str, Any]:
    precision, recall = float((accuracy < limit).mean()), float((completeness < limit).mean())
    score = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    text = f"Harmonic mean of the shares of both sides' distances below {limit:g} mm."
    return figure(score, "1", "higher", text)
