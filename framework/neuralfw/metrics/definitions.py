"""The surface metrics, each with its definition, unit and direction beside the function that computes it.

What papers call by one name is told apart here by its definition: Chamfer is a mean of two means or their sum, of
distances or of their squares.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float64

from neuralfw.geometry import Mesh
from neuralfw.geometry.distance import point_to_mesh_distance
from neuralfw.geometry.mesh import boundary_edges

from .surface import Directed, Shape, SurfaceDistances
from .volume import volume_iou


class Undefined(Exception):
    """A metric has no value for these two surfaces; the message says why."""


@dataclass(frozen=True)
class Comparison:
    """What a metric may ask about.

    `scan` goes from the points of a raw scan to the prediction; it is None where no scan was given.
    """

    prediction: Shape
    reference: Shape
    distances: SurfaceDistances
    scan: Directed | None
    seed: int

    @property
    def both(self) -> tuple[Directed, Directed]:
        """From the prediction and from the reference."""
        return self.distances.accuracy, self.distances.completeness

    @property
    def from_scan(self) -> Directed:
        if self.scan is None:
            raise Undefined("no scan was given")
        return self.scan

    @cached_property
    def diagonal(self) -> float:
        """Length of the diagonal of the reference's box."""
        return float(np.linalg.norm(extent(self.reference)))

    @property
    def cosines(self) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "m"]]:
        """Of the angles between the normals of nearest samples, from the prediction and from the reference."""
        accuracy, completeness = self.distances.accuracy.cosine, self.distances.completeness.cosine
        if accuracy is None or completeness is None:
            raise Undefined("a point cloud without normals is compared")
        return accuracy, completeness


@dataclass(frozen=True)
class Metric:
    """One figure that compares a prediction with a reference.

    `unit` is "1" for a pure number, else the power of the length that it is measured in. `compute` raises `Undefined`
    where the two surfaces have no such figure.
    """

    name: str
    better: Literal["lower", "higher"]
    unit: Literal["1", "length", "length²"]
    definition: str
    compute: Callable[[Comparison], float]


def extent(shape: Shape) -> Float64[np.ndarray, "3"]:
    """The edges of the axis-aligned box around a shape."""
    corners = shape.vertices if isinstance(shape, Mesh) else shape.points
    edges: Float64[np.ndarray, "3"] = corners.max(axis=0) - corners.min(axis=0)
    return edges


def _metric(
    better: Literal["lower", "higher"], unit: Literal["1", "length", "length²"]
) -> Callable[[Callable[[Comparison], float]], Metric]:
    """Makes a function a metric of its name, with its docstring for definition."""
    return lambda compute: Metric(compute.__name__, better, unit, compute.__doc__ or "", compute)


def _triangles(shape: Shape) -> Mesh:
    if not isinstance(shape, Mesh):
        raise Undefined("a point cloud has no triangles to measure to")
    return shape


def _closed(shape: Shape, name: str) -> Mesh:
    mesh = _triangles(shape)
    if not mesh.is_closed:
        raise Undefined(f"the {name} is not closed ({boundary_edges(mesh)} edges have not exactly two faces)")
    return mesh


@_metric("lower", "length")
def accuracy(c: Comparison) -> float:
    """Mean distance from the prediction to the nearest sample of the reference."""
    return c.distances.accuracy.mean


@_metric("lower", "length")
def completeness(c: Comparison) -> float:
    """Mean distance from the reference to the nearest sample of the prediction."""
    return c.distances.completeness.mean


@_metric("lower", "length")
def chamfer(c: Comparison) -> float:
    """Half the sum of accuracy and completeness: mean distances to the nearest sample, not squared."""
    return sum(side.mean for side in c.both) / 2


@_metric("lower", "1")
def chamfer_over_diagonal(c: Comparison) -> float:
    """Chamfer (half the sum of both mean distances) over the diagonal of the reference's box."""
    return chamfer.compute(c) / c.diagonal


@_metric("lower", "length")
def chamfer_exact(c: Comparison) -> float:
    """Half the sum of both mean distances, from samples of one side to the triangles of the other."""
    prediction, reference = _triangles(c.prediction), _triangles(c.reference)
    to_reference = point_to_mesh_distance(c.distances.accuracy.points, reference)
    to_prediction = point_to_mesh_distance(c.distances.completeness.points, prediction)
    return float(to_reference.mean() + to_prediction.mean()) / 2


@_metric("lower", "length²")
def chamfer_l2(c: Comparison) -> float:
    """Half the sum of both mean squared distances to the nearest sample."""
    return sum(side.mean_squared for side in c.both) / 2


@_metric("lower", "length²")
def chamfer_l2_x100(c: Comparison) -> float:
    """100 times half the sum of both mean squared distances to the nearest sample."""
    return 100 * chamfer_l2.compute(c)


@_metric("lower", "length²")
def chamfer_squared_sum(c: Comparison) -> float:
    """The sum (not halved) of both mean squared distances to the nearest sample."""
    return sum(side.mean_squared for side in c.both)


@_metric("lower", "length²")
def chamfer_squared_sum_x1000(c: Comparison) -> float:
    """1000 times the sum (not halved) of both mean squared distances to the nearest sample."""
    return 1000 * chamfer_squared_sum.compute(c)


@_metric("lower", "length")
def hausdorff(c: Comparison) -> float:
    """The largest distance of either side to the nearest sample of the other."""
    return max(side.max for side in c.both)


@_metric("lower", "length")
def hausdorff_95(c: Comparison) -> float:
    """The larger of the two distances that 95 % of either side's samples do not exceed."""
    return max(side.percentile(95.0) for side in c.both)


@_metric("higher", "1")
def normal_consistency(c: Comparison) -> float:
    """Half the sum of both means of |cosine| between the normals of a sample and of its nearest; unoriented."""
    return float(sum(np.abs(cosine).mean() for cosine in c.cosines)) / 2


@_metric("higher", "1")
def normal_agreement(c: Comparison) -> float:
    """Half the sum of both means of the cosine between the normals of a sample and of its nearest; -1 if reversed."""
    return float(sum(cosine.mean() for cosine in c.cosines)) / 2


@_metric("lower", "1")
def normal_distance_sum(c: Comparison) -> float:
    """The sum (not halved) of both means of 1 - |cosine| between the normals of a sample and of its nearest."""
    return float(sum(1 - np.abs(cosine).mean() for cosine in c.cosines))


@_metric("higher", "1")
def iou(c: Comparison) -> float:
    """Volume of the intersection over that of the union, by 100,000 points uniform in the box around both."""
    return volume_iou(_closed(c.prediction, "prediction"), _closed(c.reference, "reference"), seed=c.seed)


@_metric("higher", "1")
def f_score_kaolin(c: Comparison) -> float:
    """Kaolin's F-score at 0.01: hits and false alarms are counted on the prediction, misses on the reference."""
    hits = int((c.distances.accuracy.distance <= 0.01).sum())
    misses = int((c.distances.completeness.distance > 0.01).sum())
    precision, recall = hits / len(c.distances.accuracy.distance), hits / max(hits + misses, 1)
    return 2 * precision * recall / (precision + recall + 1e-8)


@_metric("lower", "length")
def scan_to_prediction(c: Comparison) -> float:
    """Mean distance from the points of the scan to the nearest sample of the prediction."""
    return c.from_scan.mean


@_metric("lower", "length")
def scan_to_prediction_max(c: Comparison) -> float:
    """The largest distance from a point of the scan to the nearest sample of the prediction."""
    return c.from_scan.max


def f_score(threshold: float) -> Metric:
    """The F-score at a threshold in units of length."""
    return Metric(
        f"f_score_{threshold:g}",
        "higher",
        "1",
        f"Harmonic mean of the shares of either side's samples at most {threshold:g} from the other's nearest.",
        lambda c: c.distances.f_score(threshold),
    )


def relative_f_score(share: float) -> Metric:
    """The F-score at a threshold that is a share of the diagonal of the reference's box."""
    return Metric(
        f"f_score_{share:g}",
        "higher",
        "1",
        "Harmonic mean of the shares of either side's samples that lie, from the other's nearest, at most"
        f" {share:g} of the diagonal of the reference's box.",
        lambda c: c.distances.f_score(share * c.diagonal),
    )


def relative_recall(share: float) -> Metric:
    """The share of the reference within a share of the diagonal of its box."""
    return Metric(
        f"recall_{share:g}",
        "higher",
        "1",
        f"Share of the reference's samples at most {share:g} of its box's diagonal from the prediction's nearest.",
        lambda c: c.distances.completeness.share_within(share * c.diagonal),
    )
