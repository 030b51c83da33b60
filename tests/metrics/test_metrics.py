"""Metrics against closed forms and against brute force written here, independently of k-d trees and bins."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from neuralfw.errors import UserError
from neuralfw.geometry import Mesh, PointCloud, read_mesh, read_point_cloud
from neuralfw.metrics import (
    PROTOCOLS,
    contains,
    evaluate_surface,
    nearest,
    nearest_both_ways,
    one_sided_distances,
    surface_distances,
    volume_iou,
)


@pytest.fixture(autouse=True)
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """4,000 samples for every protocol: the definitions are tested here, and the counts by a test of their own."""
    for name, protocol in PROTOCOLS.items():
        monkeypatch.setitem(PROTOCOLS, name, replace(protocol, samples=4_000))


SAMPLES = {name: protocol.samples for name, protocol in PROTOCOLS.items()}


def from_trimesh(mesh: trimesh.Trimesh) -> Mesh:
    return Mesh(np.array(mesh.vertices, dtype=np.float64), np.array(mesh.faces, dtype=np.int64))


def sphere(radius: float, subdivisions: int = 4) -> Mesh:
    return from_trimesh(trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius))


def box(size: tuple[float, float, float] = (1.0, 1.0, 1.0), offset: float = 0.0, subdivide: int = 0) -> Mesh:
    mesh = trimesh.creation.box(size)
    for _ in range(subdivide):
        mesh = mesh.subdivide()
    mesh.apply_translation([offset, 0, 0])
    return from_trimesh(mesh)


def plane(height: float) -> Mesh:
    vertices = np.array([[0, 0, height], [1, 0, height], [1, 1, height], [0, 1, height]], dtype=np.float64)
    return Mesh(vertices, np.array([[0, 1, 2], [0, 2, 3]]))


def value(result: dict, name: str) -> float:
    return result["metrics"][name]["value"]


def brute_force(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.norm(a[:, None] - b[None], axis=2)


clouds = st.tuples(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**32 - 1), st.booleans())


@given(clouds)
@settings(max_examples=60, deadline=None)
def test_nearest_neighbours_against_brute_force(drawn: tuple[int, int, int, bool]) -> None:
    n, m, seed, lattice = drawn
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(n, 3)), rng.normal(size=(m, 3))
    if lattice:  # ties and duplicates
        a, b = np.round(a), np.round(b)
    to_b, to_a = nearest_both_ways(a, b)
    table = brute_force(a, b)
    np.testing.assert_allclose(to_b.distance, table.min(axis=1), atol=1e-12)
    np.testing.assert_allclose(to_a.distance, table.min(axis=0), atol=1e-12)
    np.testing.assert_allclose(table[np.arange(n), to_b.target], to_b.distance, atol=1e-12)
    np.testing.assert_array_equal(nearest(a, b).distance, to_b.distance)


def test_every_summary_against_brute_force_on_two_small_clouds() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(150, 3)), rng.normal(size=(90, 3)) + 0.3
    normals = [
        n / np.linalg.norm(n, axis=1, keepdims=True) for n in (rng.normal(size=a.shape), rng.normal(size=b.shape))
    ]
    prediction, reference = PointCloud(a, 3 * normals[0]), PointCloud(b, 0.2 * normals[1])
    table = brute_force(a, b)
    forth, back = table.min(axis=1), table.min(axis=0)
    cos_forth = (normals[0] * normals[1][table.argmin(axis=1)]).sum(axis=1)
    cos_back = (normals[1] * normals[0][table.argmin(axis=0)]).sum(axis=1)

    own = evaluate_surface(prediction, reference)
    assert value(own, "accuracy") == pytest.approx(forth.mean())
    assert value(own, "completeness") == pytest.approx(back.mean())
    assert value(own, "chamfer") == pytest.approx((forth.mean() + back.mean()) / 2)
    assert value(own, "chamfer_l2") == pytest.approx(((forth**2).mean() + (back**2).mean()) / 2)
    assert value(own, "hausdorff") == pytest.approx(max(forth.max(), back.max()))
    assert value(own, "hausdorff_95") == pytest.approx(max(np.quantile(forth, 0.95), np.quantile(back, 0.95)))
    assert value(own, "normal_consistency") == pytest.approx((abs(cos_forth).mean() + abs(cos_back).mean()) / 2)
    assert value(own, "normal_agreement") == pytest.approx((cos_forth.mean() + cos_back.mean()) / 2)
    diagonal = np.linalg.norm(b.max(axis=0) - b.min(axis=0))
    precision, recall = (forth <= 0.01 * diagonal).mean(), (back <= 0.01 * diagonal).mean()
    assert precision > 0 and recall > 0
    assert value(own, "f_score_0.01") == pytest.approx(2 * precision * recall / (precision + recall))
    assert value(own, "recall_0.01") == pytest.approx(recall)

    squared = (forth**2).mean() + (back**2).mean()
    assert value(evaluate_surface(prediction, reference, "deepsdf"), "chamfer_squared_sum_x1000") == pytest.approx(
        1000 * squared
    )
    pytorch3d = evaluate_surface(prediction, reference, "pytorch3d")
    assert value(pytorch3d, "chamfer_squared_sum") == pytest.approx(squared)
    assert value(pytorch3d, "normal_distance_sum") == pytest.approx(
        (1 - abs(cos_forth)).mean() + (1 - abs(cos_back)).mean()
    )


def test_kaolin_f_score_against_its_documented_example() -> None:
    predicted = PointCloud(np.array([[8.8977, 4.1709, 1.2839], [8.5640, 7.7767, 9.4214]]) / 150)
    truth = PointCloud(np.array([[9.4863, 4.2249, 0.1712], [8.1783, 8.5310, 8.5119]]) / 150)
    assert value(evaluate_surface(predicted, truth, "kaolin"), "f_score_kaolin") == pytest.approx(1.0, abs=1e-6)
    predicted = PointCloud(np.array([[0.5431, 6.4495, 11.4914], [3.2126, 8.0865, 3.1018]]) / 150)
    truth = PointCloud(np.array([[-0.0020699, 6.4429, 12.3], [3.8386, 8.3585, 4.7662]]) / 150)
    assert value(evaluate_surface(predicted, truth, "kaolin"), "f_score_kaolin") == pytest.approx(0.5, abs=1e-6)


def test_concentric_spheres() -> None:
    """Radii r and r + e: every exact distance is e, every normal agrees, the volumes are known."""
    small, large = sphere(1.0), sphere(1.1)
    assert surface_distances(small, large, samples=30_000).accuracy.mean == pytest.approx(0.1, abs=2e-3)
    own = evaluate_surface(small, large)
    assert value(own, "chamfer_exact") == pytest.approx(0.1, abs=1e-3)
    assert value(own, "chamfer") == pytest.approx(0.104, abs=3e-3)
    assert value(own, "chamfer_over_diagonal") == pytest.approx(value(own, "chamfer") / (2.2 * np.sqrt(3)), rel=1e-3)
    assert value(own, "hausdorff") == pytest.approx(0.1, abs=0.08)
    assert value(own, "normal_consistency") == pytest.approx(1, abs=5e-3)
    assert value(own, "iou") == pytest.approx(1 / 1.1**3, abs=0.01)
    assert value(evaluate_surface(small, large, "pytorch3d"), "chamfer_squared_sum") == pytest.approx(
        2 * 0.1**2, rel=0.15
    )
    assert value(evaluate_surface(small, large, "convonet"), "chamfer") == pytest.approx(
        value(own, "chamfer") / 2.2, rel=0.02
    )
    assert value(evaluate_surface(small, large, "convonet"), "f_score_0.02") == 0.0


def test_reversed_faces_show_in_the_signed_measure_alone() -> None:
    ball = sphere(1.0, subdivisions=4)
    result = evaluate_surface(Mesh(ball.vertices, ball.faces[:, ::-1].copy()), ball)
    assert value(result, "normal_agreement") == pytest.approx(-1, abs=0.01)
    assert value(result, "normal_consistency") == pytest.approx(1, abs=0.01)


def test_shifted_planes() -> None:
    distances = surface_distances(plane(0.0), plane(0.25))
    spacing = 1 / np.sqrt(200_000)
    for side in (distances.accuracy, distances.completeness):
        assert side.mean == pytest.approx(0.25, abs=spacing**2)
        assert 0.25 <= side.percentile(1.0) <= side.percentile(99.0) <= side.max < 0.2502
        assert side.share_within(0.2499) == 0 and side.share_within(0.2502) == 1
    assert distances.f_score(0.2502) == 1.0
    assert distances.f_score(0.2) == 0.0


def test_two_samplings_of_one_plane_are_half_a_spacing_apart() -> None:
    """The mean distance to the nearest of n uniform points of unit area is 1 / (2 √n), border aside."""
    distances = surface_distances(plane(0.0), plane(0.0), samples=50_000)
    assert distances.accuracy.mean == pytest.approx(0.5 / np.sqrt(50_000), rel=0.02)
    assert distances.completeness.mean == pytest.approx(0.5 / np.sqrt(50_000), rel=0.02)


def test_subdivision_does_not_change_the_score() -> None:
    """No more than another seed does."""
    coarse, fine, other = box(), box(subdivide=5), box((1.1, 1.0, 0.95))

    def score(shape: Mesh, seed: int) -> float:
        distances = surface_distances(shape, other, samples=50_000, seed=seed)
        return (distances.accuracy.mean + distances.completeness.mean) / 2

    noise = abs(score(coarse, 1) - score(coarse, 0))
    assert score(fine, 0) == pytest.approx(score(coarse, 0), abs=max(5 * noise, 1e-4))
    assert score(coarse, 0) > 0.02


def test_one_side_may_be_far_while_the_other_is_near() -> None:
    """A prediction with a second box ten units away is complete but not accurate."""
    twice = box()
    far = box(offset=10.0)
    both = Mesh(
        np.concatenate([twice.vertices, far.vertices]), np.concatenate([twice.faces, far.faces + len(twice.vertices)])
    )
    distances = surface_distances(both, twice, samples=20_000)
    assert distances.completeness.mean < 0.02
    assert distances.accuracy.mean == pytest.approx(4.6, abs=0.2)
    assert distances.accuracy.max == pytest.approx(np.linalg.norm([10, 0, 0]), abs=0.1)


def test_the_scan_is_compared_one_sided() -> None:
    scan = PointCloud(np.array([[0.5, 0.5, 0.1], [0.25, 0.5, -0.3]]))
    result = evaluate_surface(plane(0.0), plane(0.0), "digs", scan=scan)
    assert value(result, "scan_to_prediction") == pytest.approx(0.2, abs=1e-3)
    assert value(result, "scan_to_prediction_max") == pytest.approx(0.3, abs=1e-3)
    assert one_sided_distances(scan, plane(0.0)).mean == pytest.approx(0.2, abs=1e-4)


def test_what_cannot_be_computed_is_omitted_with_its_reason() -> None:
    result = evaluate_surface(plane(0.0), PointCloud(np.random.default_rng(0).random((100, 3))))
    assert result["omitted"]["iou"] == "the prediction is not closed (4 edges have not exactly two faces)"
    assert "normals" in result["omitted"]["normal_consistency"]
    assert "no triangles" in result["omitted"]["chamfer_exact"]
    assert "no scan" in evaluate_surface(plane(0.0), plane(0.0), "digs")["omitted"]["scan_to_prediction"]
    assert result["metrics"].keys().isdisjoint(result["omitted"])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_result_is_complete_and_repeats_to_the_byte(protocol: str) -> None:
    shapes = sphere(1.0, 3), sphere(1.05, 3)
    result = evaluate_surface(*shapes, protocol)
    assert json.dumps(result) == json.dumps(evaluate_surface(*shapes, protocol))
    assert {"protocol", "seed", "samples", "length", "scale"} <= result.keys()
    assert result["samples"]["prediction"] == 4_000
    for facts in result["metrics"].values():
        assert np.isfinite(facts["value"])
        assert facts["unit"] in ("1", "length", "length²")
        assert facts["better"] in ("lower", "higher")
        assert len(facts["definition"]) > 20


def test_sample_counts_are_those_of_the_sources() -> None:
    assert SAMPLES["neuralfw"] == 200_000
    assert SAMPLES["digs"] == 1_000_000
    assert SAMPLES["convonet"] == 100_000
    assert SAMPLES["deepsdf"] == 30_000
    assert SAMPLES["neural_pull"] == SAMPLES["pytorch3d"] == 10_000


def test_convonet_is_scaled_to_the_longest_edge_and_neuralfw_is_not() -> None:
    shapes, tenfold = (sphere(1.0, 2), sphere(1.05, 2)), (sphere(10.0, 2), sphere(10.5, 2))
    for protocol, factor in (("convonet", 1.0), ("neuralfw", 10.0)):
        before, after = (value(evaluate_surface(*pair, protocol), "chamfer") for pair in (shapes, tenfold))
        assert after == pytest.approx(factor * before)


def test_another_seed_gives_another_sample() -> None:
    shapes = sphere(1.0, 3), sphere(1.05, 3)
    first, second = (value(evaluate_surface(*shapes, "deepsdf", seed=seed), "chamfer_squared_sum") for seed in (0, 1))
    assert first != second
    assert first == pytest.approx(second, rel=0.02)


def test_unknown_protocols_and_empty_shapes_are_refused() -> None:
    with pytest.raises(UserError, match=r"no metric protocol 'chamfr'; known are neuralfw, digs"):
        evaluate_surface(plane(0.0), plane(0.0), "chamfr")
    with pytest.raises(UserError, match="empty"):
        surface_distances(PointCloud(np.empty((0, 3))), plane(0.0))
    with pytest.raises(UserError, match="no surface area"):
        surface_distances(Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]])), plane(0.0))


@pytest.mark.parametrize(
    ("mesh", "inside"),
    [
        (sphere(0.8, 4), lambda p: np.linalg.norm(p, axis=1) < 0.8),
        (box((1.0, 0.5, 1.6)), lambda p: (np.abs(p) < [0.5, 0.25, 0.8]).all(axis=1)),
        (
            from_trimesh(trimesh.creation.torus(0.6, 0.2, major_sections=256, minor_sections=128)),
            lambda p: np.hypot(np.hypot(p[:, 0], p[:, 1]) - 0.6, p[:, 2]) < 0.2,
        ),
    ],
    ids=["sphere", "box", "torus"],
)
def test_points_inside_against_closed_forms(mesh: Mesh, inside: Callable[[np.ndarray], np.ndarray]) -> None:
    points = np.random.default_rng(0).uniform(-1, 1, (30_000, 3))
    wrong = points[contains(mesh, points) != inside(points)]
    assert len(wrong) < 100
    assert len(wrong) == 0 or np.abs(inside(1.01 * wrong).astype(int) - inside(0.99 * wrong)).all()


def test_points_inside_against_winding_numbers() -> None:
    """A shape with a hollow and overhangs, by the solid angles of its faces (van Oosterom and Strackee 1983)."""
    shell = from_trimesh(trimesh.creation.torus(0.6, 0.3, major_sections=24, minor_sections=12))
    hollow = sphere(0.15, 2)
    hollow = Mesh(hollow.vertices + np.array([0.6, 0, 0]), hollow.faces[:, ::-1].copy())
    mesh = Mesh(
        np.concatenate([shell.vertices, hollow.vertices]),
        np.concatenate([shell.faces, hollow.faces + len(shell.vertices)]),
    )
    points = np.random.default_rng(1).uniform(-1, 1, (2000, 3))
    a, b, c = np.moveaxis(mesh.triangles[None] - points[:, None, None], 2, 0)
    la, lb, lc = (np.linalg.norm(v, axis=2) for v in (a, b, c))
    triple = np.einsum("pfk,pfk->pf", a, np.cross(b, c))
    dots = [np.einsum("pfk,pfk->pf", u, v) * w for u, v, w in ((a, b, lc), (b, c, la), (c, a, lb))]
    winding = np.arctan2(triple, la * lb * lc + sum(dots)).sum(axis=1) / (2 * np.pi)
    np.testing.assert_array_equal(contains(mesh, points), winding > 0.5)


def test_iou_of_shifted_boxes() -> None:
    assert volume_iou(box(), box(offset=0.5)) == pytest.approx(1 / 3, abs=0.01)
    assert volume_iou(box(), box(offset=2.0)) == 0.0
    assert volume_iou(box(), box(subdivide=4)) == 1.0


def test_figures_of_real_data_against_those_on_record(shared_data: Path) -> None:
    """Two samplings of the bunny are 0.0011 of its diagonal apart; the anchor's scan is at most 1.07 from its mesh."""
    bunny = read_mesh(shared_data / "pointcloud_mesh/pts_with_normals/bunny.off")
    distances = surface_distances(bunny, bunny)
    diagonal = np.linalg.norm(np.ptp(bunny.vertices, axis=0))
    assert (distances.accuracy.mean + distances.completeness.mean) / 2 / diagonal == pytest.approx(0.0011, abs=5e-5)

    anchor = read_mesh(shared_data / "pointcloud_mesh/srb_anchor/gt/anchor.off")
    scan = read_point_cloud(shared_data / "pointcloud_mesh/srb_anchor/scan/anchor.ply")
    assert one_sided_distances(scan, anchor).max == pytest.approx(1.07, abs=0.03)


def test_srb_against_scipy() -> None:
    """Protocol digs, of clouds, which are taken whole, by another tree; its scan's columns go one way."""
    rng = np.random.default_rng(1)
    predicted, truth, scan = (PointCloud(rng.normal(size=(n, 3))) for n in (3000, 2500, 500))
    found = evaluate_surface(predicted, truth, "digs", scan=scan)
    of_predicted, of_truth = cKDTree(predicted.points), cKDTree(truth.points)
    forth, back = of_truth.query(predicted.points)[0], of_predicted.query(truth.points)[0]
    raw = of_predicted.query(scan.points)[0]
    assert value(found, "chamfer") == pytest.approx((forth.mean() + back.mean()) / 2)
    assert value(found, "hausdorff") == pytest.approx(max(forth.max(), back.max()))
    assert value(found, "scan_to_prediction") == pytest.approx(raw.mean())
    assert value(found, "scan_to_prediction_max") == pytest.approx(raw.max())
