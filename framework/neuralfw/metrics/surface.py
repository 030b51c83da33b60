"""How far two surfaces are apart, sample by sample and in both directions: what every surface metric is made of."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from neuralfw.errors import UserError
from neuralfw.geometry import Mesh, PointCloud, sample_surface

from .nearest import Nearest, nearest, nearest_both_ways

Shape = Mesh | PointCloud
"""A mesh, which is sampled, or a cloud, whose points are taken as they are."""


@dataclass(frozen=True)
class Directed:
    """From samples of one surface to the nearest sample of another.

    `cosine` is that of the angle between the two samples' unit normals, or None where one side has none.
    """

    points: Float64[np.ndarray, "n 3"]
    distance: Float64[np.ndarray, "n"]
    cosine: Float64[np.ndarray, "n"] | None

    @property
    def mean(self) -> float:
        return float(self.distance.mean())

    @property
    def mean_squared(self) -> float:
        return float(np.square(self.distance).mean())

    @property
    def max(self) -> float:
        return float(self.distance.max())

    def percentile(self, q: float) -> float:
        """The distance that `q` percent of the samples do not exceed."""
        return float(np.percentile(self.distance, q))

    def share_within(self, threshold: float) -> float:
        """The share of samples at most `threshold` away."""
        return float((self.distance <= threshold).mean())


@dataclass(frozen=True)
class SurfaceDistances:
    """Both directions: `accuracy` from the prediction to the reference, `completeness` from the reference to it."""

    accuracy: Directed
    completeness: Directed

    def f_score(self, threshold: float) -> float:
        """Harmonic mean of precision and recall, the shares of either side within `threshold`; 0 if both are."""
        precision, recall = self.accuracy.share_within(threshold), self.completeness.share_within(threshold)
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def surface_distances(
    prediction: Shape, reference: Shape, *, samples: int = 200_000, seed: int = 0
) -> SurfaceDistances:
    """Distances between samples of two surfaces, each to its nearest sample on the other.

    Meshes are sampled uniformly by area, `samples` points each, by two independent streams of `seed`; clouds are
    taken whole. Distances are in units of the input. Two samplings of one and the same surface are not 0 apart: about
    0.6 times the mean spacing, so a figure means little without its sample count.

    Raises:
        UserError: a mesh without area or a cloud without points.
    """
    a, normals_a = draw(prediction, samples, np.random.default_rng([seed, 0]))
    b, normals_b = draw(reference, samples, np.random.default_rng([seed, 1]))
    to_b, to_a = nearest_both_ways(a, b)
    return SurfaceDistances(
        accuracy=_directed(a, normals_a, to_b, normals_b), completeness=_directed(b, normals_b, to_a, normals_a)
    )


def one_sided_distances(shape: Shape, target: Shape, *, samples: int = 200_000, seed: int = 0) -> Directed:
    """As `surface_distances`, in the direction from `shape` to `target` alone."""
    a, normals_a = draw(shape, samples, np.random.default_rng([seed, 0]))
    b, normals_b = draw(target, samples, np.random.default_rng([seed, 1]))
    return _directed(a, normals_a, nearest(a, b), normals_b)


def draw(
    shape: Shape, samples: int, rng: np.random.Generator
) -> tuple[Float64[np.ndarray, "n 3"], Float64[np.ndarray, "n 3"] | None]:
    """Points of a surface with their normals, where it has any."""
    if isinstance(shape, Mesh):
        return sample_surface(shape, samples, rng)
    if len(shape) == 0:
        raise UserError("There is nothing to measure: a point cloud is empty.")
    if shape.normals is None:
        return shape.points, None
    length = np.linalg.norm(shape.normals, axis=1, keepdims=True)
    return shape.points, shape.normals / np.where(length > 0, length, 1.0)


def _directed(
    points: Float64[np.ndarray, "n 3"],
    normals: Float64[np.ndarray, "n 3"] | None,
    found: Nearest,
    target_normals: Float64[np.ndarray, "m 3"] | None,
) -> Directed:
    if normals is None or target_normals is None:
        return Directed(points, found.distance, None)
    return Directed(points, found.distance, np.einsum("ij,ij->i", normals, target_normals[found.target]))
