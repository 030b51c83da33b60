"""A point cloud and its cleaning; what cleaning found and did is said in words."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64
from scipy.spatial import cKDTree

from neuralfw.errors import UserError

MIN_POINTS = 8
"""Fewer points than this describe no surface."""


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Points of a surface in world units, as read.

    Attributes:
        points: positions in float64, so that map coordinates (UTM) keep their millimetres.
        normals: as stored in the file, any length; or None.
        colors: RGB in [0, 1]; or None.
        viewpoint: the sensor's position in the world, where the file states one; or None.
        notes: what was noticed and done while reading and cleaning, one sentence each.
    """

    points: Float64[np.ndarray, "n 3"]
    normals: Float64[np.ndarray, "n 3"] | None = None
    colors: Float64[np.ndarray, "n 3"] | None = None
    viewpoint: Float64[np.ndarray, "3"] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.points)

    def select(self, keep: Bool[np.ndarray, "n"]) -> "PointCloud":
        """The cloud of the points where `keep` holds."""
        normals = None if self.normals is None else self.normals[keep]
        colors = None if self.colors is None else self.colors[keep]
        return replace(self, points=self.points[keep], normals=normals, colors=colors)

    def note(self, *sentences: str) -> "PointCloud":
        """The same cloud with more notes."""
        return replace(self, notes=self.notes + sentences)


def clean(cloud: PointCloud, *, remove_outliers: bool = True) -> PointCloud:
    """Drop what is no surface point, unify what is said twice, and note each finding in words.

    In this order: rows that are not finite; exact duplicates (the first is kept); far outliers (`find_outliers`);
    normals are set to length 1, and normals that have no direction are all dropped, so that they are estimated.

    Raises:
        UserError: fewer than 8 points are left.
    """
    cloud = _drop(cloud, ~usable(cloud.points), "that are not finite were dropped")
    cloud = _drop(cloud, _repeated(cloud.points), "that repeat another point exactly were merged")
    if remove_outliers and len(cloud) >= MIN_POINTS:
        cloud = _drop(cloud, find_outliers(cloud.points), "far from all others were dropped as outliers")
    if len(cloud) < MIN_POINTS:
        history = " ".join(cloud.notes)
        raise UserError(f"only {len(cloud)} usable points: at least {MIN_POINTS} are needed. {history}".rstrip())
    cloud = _unit_normals(cloud)
    for axis, step in zip("xyz", quantization(cloud.points), strict=True):
        if step > 0.0:
            cloud = cloud.note(f"coordinates are quantised to {step:.3g} along {axis}")
    return cloud


def usable(points: Float64[np.ndarray, "n 3"]) -> Bool[np.ndarray, "n"]:
    """Mark the points that are finite, and not so large (1e100) that the product of two lengths overflows."""
    inside: Bool[np.ndarray, "n"] = (np.abs(points) < 1e100).all(axis=1)
    return inside


def find_outliers(
    points: Float64[np.ndarray, "n 3"], neighbors: int = 6, factor: float = 12.0, most: float = 0.01
) -> Bool[np.ndarray, "n"]:
    """Mark the few points that lie far from all others.

    A point is an outlier where its mean distance to `neighbors` neighbours exceeds `factor` times the median of that
    distance over the cloud: unlike mean + k·sigma, the limit is not moved by the outliers themselves. Where more than
    the share `most` exceeds it, the density is uneven, and nothing is marked.
    """
    spacing = _neighbor_distances(points, neighbors).mean(axis=1)
    median = np.median(spacing)
    outlier: Bool[np.ndarray, "n"] = spacing > factor * median
    return outlier & bool(median > 0.0 and outlier.mean() <= most)


def quantization(points: Float64[np.ndarray, "n 3"]) -> tuple[float, float, float]:
    """The step of the lattice on which the points lie along x, y and z; 0 where none is coarse enough to matter.

    A step matters where it exceeds a tenth of the median distance between neighbours.
    """
    coarse = 0.1 * float(np.median(_neighbor_distances(points, 1)))
    x, y, z = (_lattice_step(points[:, axis], coarse) for axis in range(3))
    return x, y, z


def _neighbor_distances(points: Float64[np.ndarray, "n 3"], neighbors: int) -> Float64[np.ndarray, "n k"]:
    k = np.arange(2, min(neighbors + 1, len(points)) + 1)  # the first neighbour is the point itself
    centered = points - np.median(points, axis=0)
    distances, _ = cKDTree(centered).query(centered, k=k, workers=-1)
    return np.asarray(distances)


def _lattice_step(values: Float64[np.ndarray, "n"], coarse: float) -> float:
    gaps = np.diff(np.unique(values))
    gaps = gaps[gaps > 1e-9 * np.ptp(values)] if len(gaps) else gaps
    if len(gaps) < 2 or len(gaps) > 0.5 * len(values):
        return 0.0
    step = float(gaps.min())
    cells = gaps / step
    on_lattice = np.abs(cells - np.round(cells)) < 1e-3 * np.maximum(cells, 1.0)
    return step if step > coarse and on_lattice.mean() > 0.99 else 0.0


def _repeated(points: Float64[np.ndarray, "n 3"]) -> Bool[np.ndarray, "n"]:
    order = np.lexsort(points.T)
    repeated = np.zeros(len(points), dtype=bool)
    repeated[order[1:]] = (np.diff(points[order], axis=0) == 0.0).all(axis=1)
    return repeated


def _drop(cloud: PointCloud, unwanted: Bool[np.ndarray, "n"], why: str) -> PointCloud:
    count = int(unwanted.sum())
    return cloud.select(~unwanted).note(f"{count:,} of {len(cloud):,} points {why}") if count else cloud


def _unit_normals(cloud: PointCloud) -> PointCloud:
    if cloud.normals is None:
        return cloud
    with np.errstate(over="ignore"):  # one too long to square counts as without direction
        length = np.linalg.norm(cloud.normals, axis=1)
    bad = int((~np.isfinite(length) | (length == 0.0)).sum())
    if bad:
        return replace(cloud, normals=None).note(f"{bad:,} normals have no direction, so the file's are not used")
    return replace(cloud, normals=cloud.normals / length[:, None])
