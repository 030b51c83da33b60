"""Surface metrics by named protocol: how many samples, at what scale, which figures.

A figure from a paper is comparable only to one made by the same protocol; each states its source. What a protocol
leaves open (the scan's own ground truth, the crop of a scene) is the caller's to match.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

from neuralfw.errors import UserError
from neuralfw.geometry import Mesh, PointCloud

from . import definitions as d
from .surface import Shape, one_sided_distances, surface_distances

_LENGTHS = {
    "input": "units of the input",
    "longest_edge": "longest edge of the reference's box = 1",
}


@dataclass(frozen=True)
class Protocol:
    """A way to measure: samples drawn by area from each mesh, the unit of length, and the figures to give."""

    name: str
    summary: str
    samples: int
    length: Literal["input", "longest_edge"]
    metrics: tuple[d.Metric, ...]


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "neuralfw",
            "neuralfw's own: distances not squared, halved sum, beside the exact distances to triangles",
            200_000,
            "input",
            (
                d.chamfer,
                d.chamfer_over_diagonal,
                d.chamfer_exact,
                d.accuracy,
                d.completeness,
                d.chamfer_l2,
                d.hausdorff,
                d.hausdorff_95,
                d.relative_f_score(0.005),
                d.relative_f_score(0.01),
                d.relative_recall(0.01),
                d.normal_consistency,
                d.normal_agreement,
                d.iou,
            ),
        ),
        Protocol(
            "digs",
            "Surface Reconstruction Benchmark tables of DiGS, StEik and HotSpot (compute_metrics_srb.py of DiGS)",
            1_000_000,
            "input",
            (d.chamfer, d.hausdorff, d.scan_to_prediction, d.scan_to_prediction_max),
        ),
        Protocol(
            "convonet",
            "Convolutional Occupancy Networks, POCO, NKSR (eval.py of ConvONet, without its crop of room scenes)",
            100_000,
            "longest_edge",
            (
                d.chamfer,
                d.chamfer_l2,
                d.accuracy,
                d.completeness,
                d.f_score(0.01),
                d.f_score(0.015),
                d.f_score(0.02),
                d.normal_consistency,
                d.iou,
            ),
        ),
        Protocol(
            "deepsdf",
            "DeepSDF (deep_sdf/metrics/chamfer.py); its tables print the figure times 1000",
            30_000,
            "input",
            (d.chamfer_squared_sum, d.chamfer_squared_sum_x1000),
        ),
        Protocol(
            "neural_pull",
            "Neural-Pull on FAMOUS and ABC (eval_pointcloud of its release); its tables print L2 times 100. Its normal"
            " consistency sums absolute products of components and is larger than the one given here",
            10_000,
            "longest_edge",
            (d.chamfer, d.chamfer_l2, d.chamfer_l2_x100, d.normal_consistency),
        ),
        Protocol(
            "pytorch3d",
            "PyTorch3D's chamfer_distance with the default count of its mesh sampler",
            10_000,
            "input",
            (d.chamfer_squared_sum, d.normal_distance_sum),
        ),
        Protocol(
            "kaolin",
            "Kaolin's chamfer_distance and f_score with their defaults; it prescribes no sample count",
            200_000,
            "input",
            (d.chamfer_squared_sum, d.f_score_kaolin),
        ),
    )
}


def evaluate_surface(
    prediction: Shape,
    reference: Shape,
    protocol: str = "neuralfw",
    *,
    seed: int = 0,
    scan: PointCloud | None = None,
) -> dict[str, Any]:
    """Compare a surface with a reference by a named protocol (a key of `PROTOCOLS`).

    Args:
        prediction, reference: meshes, which are sampled, or point clouds, which are taken whole.
        seed: of the samples.
        scan: the raw points a reconstruction was made from, where the protocol has a column for them.

    Returns:
        What JSON can hold: the protocol, the seed, the sample counts, the unit of length and the factor that brings
        the input to it; `metrics` with value, unit, which way is better and definition; `omitted` with the reason
        for each figure that these two shapes do not have.

    Raises:
        UserError: no protocol of that name; a mesh without area; a cloud without points.
    """
    if protocol not in PROTOCOLS:
        raise UserError(f"There is no metric protocol {protocol!r}; known are {', '.join(PROTOCOLS)}.")
    chosen = PROTOCOLS[protocol]
    scale = 1.0 if chosen.length == "input" else 1.0 / float(d.extent(reference).max())
    prediction, reference = _scaled(prediction, scale), _scaled(reference, scale)
    distances = surface_distances(prediction, reference, samples=chosen.samples, seed=seed)
    from_scan = None
    if scan is not None:
        from_scan = one_sided_distances(_scaled(scan, scale), prediction, samples=chosen.samples, seed=seed)
    comparison = d.Comparison(prediction, reference, distances, from_scan, seed)

    found: dict[str, Any] = {}
    omitted: dict[str, str] = {}
    for metric in chosen.metrics:
        try:
            value = metric.compute(comparison)
        except d.Undefined as reason:
            omitted[metric.name] = str(reason)
        else:
            facts = {"unit": metric.unit, "better": metric.better, "definition": metric.definition}
            found[metric.name] = {"value": value, **facts}
    return {
        "protocol": chosen.name,
        "summary": chosen.summary,
        "seed": seed,
        "samples": {
            "prediction": len(distances.accuracy.points),
            "reference": len(distances.completeness.points),
        },
        "length": _LENGTHS[chosen.length],
        "scale": scale,
        "metrics": found,
        "omitted": omitted,
    }


def _scaled(shape: Shape, scale: float) -> Shape:
    if scale == 1.0:
        return shape
    if isinstance(shape, Mesh):
        return replace(shape, vertices=shape.vertices * scale)
    return replace(shape, points=shape.points * scale)
