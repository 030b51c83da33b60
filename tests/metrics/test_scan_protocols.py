"""DTU, Tanks and Temples and reference points on planes and spheres whose figures are known in closed form."""

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.io import savemat

from neuralfw.errors import UserError
from neuralfw.geometry import Mesh, PointCloud, write_points
from neuralfw.metrics.against_file import evaluate_against_file
from neuralfw.metrics.dtu import DtuScan, dense_points, evaluate_dtu, thinned
from neuralfw.metrics.reference_points import evaluate_reference_points
from neuralfw.metrics.tanks_and_temples import (
    Crop,
    apply,
    evaluate_tanks_and_temples,
    similarity_between,
)


def plane(height: float, low: float = 0.0, high: float = 20.0) -> Mesh:
    corners = np.array([[low, 0, height], [high, 0, height], [high, 20, height], [low, 20, height]], dtype=np.float64)
    return Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]]))


def lattice(height: float, step: float = 0.25) -> np.ndarray:
    side = np.arange(step / 2, 20, step)
    x, y = np.meshgrid(side, side)
    return np.stack([x.ravel(), y.ravel(), np.full(x.size, height)], axis=1)


def scan(points: np.ndarray) -> DtuScan:
    """A scan whose every voxel from (-10, -10, -10) to (30, 30, 30) was observed, with the table at z = -1."""
    return DtuScan(
        points, np.ones((41, 41, 41), dtype=bool), np.full(3, -10.0), np.full(3, 30.0), 1.0, np.array([0.0, 0, 1, 1])
    )


def values(result: dict) -> dict[str, float]:
    json.dumps(result)
    return {name: metric["value"] for name, metric in result["metrics"].items()}


def sphere(radius: float, subdivisions: int = 5) -> Mesh:
    ball = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return Mesh(np.array(ball.vertices), np.array(ball.faces, dtype=np.int64))


# -- DTU


def test_dtu_of_two_parallel_planes() -> None:
    found = values(evaluate_dtu(plane(2.0), scan(lattice(0.0, 0.2))))
    assert found["accuracy"] == pytest.approx(2.0, abs=0.01)
    assert found["completeness"] == pytest.approx(2.0, abs=0.01)
    assert found["chamfer"] == pytest.approx(2.0, abs=0.01)
    assert found["f_score_1mm"] == 0.0
    near = values(evaluate_dtu(plane(0.9), scan(lattice(0.0, 0.2))))
    assert near["f_score_1mm"] > 0.99 and near["accuracy_dropped"] == 0.0


def test_dtu_drops_what_is_far_and_ignores_what_lies_below_the_table() -> None:
    below = lattice(-5.0)
    far = lattice(29.0)[:100]
    found = values(evaluate_dtu(plane(1.0), scan(np.concatenate([lattice(0.0), below, far]))))
    assert found["completeness"] == pytest.approx(1.0, abs=0.01)
    assert found["completeness_dropped"] == pytest.approx(100 / 6500)


def test_dtu_counts_only_what_was_observed() -> None:
    whole = plane(1.0, low=-9.0, high=29.0)
    half = scan(lattice(0.0))
    half.observed[30:] = False  # voxels beyond x = 19.5
    half.observed[:11] = False  # and before x = 0.5
    assert values(evaluate_dtu(whole, half))["accuracy"] == pytest.approx(1.0, abs=0.02)
    everything = values(evaluate_dtu(whole, scan(lattice(0.0))))
    assert everything["accuracy"] > 2.0
    with pytest.raises(UserError, match="millimetres"):
        evaluate_dtu(Mesh(whole.vertices * 1e-3 + 500.0, whole.faces), half)


def test_dtu_score_does_not_depend_on_the_triangles() -> None:
    rough = plane(0.5)
    fine = trimesh.Trimesh(rough.vertices, rough.faces).subdivide().subdivide().subdivide()
    split = Mesh(np.array(fine.vertices), np.array(fine.faces, dtype=np.int64))
    a, b = (values(evaluate_dtu(m, scan(lattice(0.0)))) for m in (rough, split))
    assert a["chamfer"] == pytest.approx(b["chamfer"], abs=0.002)


def test_points_are_dense_then_thinned() -> None:
    points = dense_points(plane(0.0), 0.2)
    assert len(points) == pytest.approx(20 * 20 / 0.04, rel=0.03)
    thin = thinned(points, 0.5, np.random.default_rng(0))
    gaps = np.linalg.norm(thin[:, None] - thin[None], axis=2) + 9.0 * np.eye(len(thin))
    assert gaps.min() > 0.5
    assert np.linalg.norm(points[::7, None] - thin[None], axis=2).min(axis=1).max() <= 0.5


def test_dtu_reads_the_official_files(tmp_path: Path) -> None:
    cloud = tmp_path / "Points/stl/stl037_total.ply"
    with pytest.raises(UserError, match=r"stl037_total\.ply.* absent.*SampleSet\.zip"):
        evaluate_against_file(plane(1.0), cloud, "dtu")
    write_points(cloud, lattice(0.0))
    (tmp_path / "ObsMask").mkdir()
    box = np.array([[-10.0] * 3, [30.0] * 3])
    mask = {"ObsMask": np.ones((41, 41, 41), np.uint8), "BB": box, "Res": np.array([[1.0]]), "Margin": 10}
    savemat(tmp_path / "ObsMask/ObsMask37_10.mat", mask)
    savemat(tmp_path / "ObsMask/Plane37.mat", {"P": np.array([[0.0], [0], [1], [1]])})
    assert evaluate_against_file(plane(1.0), cloud, "dtu") == evaluate_dtu(plane(1.0), scan(lattice(0.0)))
    savemat(tmp_path / "ObsMask/Plane37.mat", {"Q": np.zeros(4)})
    with pytest.raises(UserError, match="not DTU's ground truth"):
        evaluate_against_file(plane(1.0), cloud, "dtu")
    with pytest.raises(UserError, match=r"must be .*stl037_total"):
        evaluate_against_file(plane(1.0), tmp_path / "other.ply", "dtu")


# -- Tanks and Temples

WHOLE = Crop(2, -3.0, 3.0, np.array([[-3.0, -3, 0], [3, -3, 0], [3, 3, 0], [-3, 3, 0]]))


def test_f_score_of_concentric_spheres() -> None:
    truth = PointCloud(sphere(1.0).vertices)
    for gap, score in ((0.02, 1.0), (0.08, 0.0)):
        result = evaluate_tanks_and_temples(sphere(1.0 + gap), truth, 0.05, register=False, samples=100_000)
        assert values(result) == pytest.approx({"precision": score, "recall": score, "f_score": score}, abs=0.01)


def test_a_half_that_is_missing_costs_recall_alone() -> None:
    ball = sphere(1.0)
    upper = Mesh(ball.vertices, ball.faces[(ball.triangles[:, :, 2] > 0).all(axis=1)])
    found = values(
        evaluate_tanks_and_temples(upper, PointCloud(ball.vertices), 0.05, register=False, samples=100_000)
    )
    assert found["precision"] > 0.99
    assert found["recall"] == pytest.approx(0.52, abs=0.03)
    assert found["f_score"] == pytest.approx(2 * found["recall"] / (1 + found["recall"]), abs=0.01)


def test_alignment_and_icp_bring_the_mesh_to_the_scan() -> None:
    rng = np.random.default_rng(0)
    shape = trimesh.creation.box((1.0, 1.4, 0.7)).subdivide_to_size(0.03)
    truth = PointCloud(np.array(shape.vertices))
    turn = trimesh.transformations.rotation_matrix(0.7, [1.0, 2.0, 0.5])
    turn[:3, :3] *= 2.5
    turn[:3, 3] = [3.0, -1.0, 2.0]
    slip = trimesh.transformations.rotation_matrix(0.02, rng.normal(size=3))
    slip[:3, 3] = 0.02
    world = apply(np.linalg.inv(turn @ slip), np.array(shape.vertices))
    mesh = Mesh(world, np.array(shape.faces, dtype=np.int64))
    scores = [
        values(
            evaluate_tanks_and_temples(
                mesh, truth, 0.02, alignment=turn, crop=WHOLE, register=register, samples=60_000
            )
        )["f_score"]
        for register in (False, True)
    ]
    assert scores[0] < 0.9 < 0.99 < scores[1]


def test_similarity_between_partners_is_exact() -> None:
    points = np.random.default_rng(1).normal(size=(20, 3))
    move = trimesh.transformations.rotation_matrix(2.0, [0.3, 1.0, -0.2])
    move[:3, :3] *= 0.4
    move[:3, 3] = [1.0, 2.0, 3.0]
    np.testing.assert_allclose(similarity_between(points, apply(move, points)), move, atol=1e-10)


def test_crop_is_a_prism_and_is_read_from_the_official_file(tmp_path: Path) -> None:
    path = tmp_path / "Barn.json"
    polygon = [[0.0, 7.0, 0.0], [2.0, 7.0, 0.0], [2.0, 7.0, 2.0], [1.0, 7.0, 0.5], [0.0, 7.0, 2.0]]
    document = {"axis_min": -1.0, "axis_max": 4.0, "orthogonal_axis": "Y", "bounding_polygon": polygon}
    path.write_text(json.dumps(document))
    inside = Crop.read(path).contains(np.array([[0.2, 0, 1], [1.0, 0, 1], [1.0, 0, 0.3], [1.0, 5, 0.3], [3.0, 0, 1]]))
    np.testing.assert_array_equal(inside, [True, False, True, False, False])
    path.write_text(json.dumps({**document, "orthogonal_axis": "W"}))
    with pytest.raises(UserError, match="not a crop file"):
        Crop.read(path)


def test_a_scene_is_read_as_it_is_laid_out(tmp_path: Path) -> None:
    write_points(tmp_path / "Barn.ply", sphere(1.0).vertices)
    with pytest.raises(UserError, match="Barn_trans"):
        evaluate_against_file(sphere(1.0), tmp_path / "Barn.ply", "tanks_and_temples")
    np.savetxt(tmp_path / "Barn_trans.txt", np.eye(4)[:3])
    with pytest.raises(UserError, match="4 x 4"):
        evaluate_against_file(sphere(1.0), tmp_path / "Barn.ply", "tanks_and_temples")
    with pytest.raises(UserError, match="called like its scene"):
        evaluate_against_file(sphere(1.0), tmp_path / "shed.ply", "tanks_and_temples")


# -- reference points


def test_reference_points_are_measured_to_the_triangles() -> None:
    points = np.array([[1.0, 1, 0.1], [19, 1, 0.2], [3, 3, 0.3], [10, 10, -0.4], [25, 10, 0]])
    found = values(evaluate_reference_points(plane(0.0), PointCloud(points), within=0.3))
    assert found["median"] == pytest.approx(0.3)
    assert found["p90"] == pytest.approx(np.percentile([0.1, 0.2, 0.3, 0.4, 5.0], 90))
    assert found["share_within"] == pytest.approx(0.6)
    assert found["mean"] == pytest.approx(1.2)
    both = np.concatenate([plane(0.0).vertices, plane(90.0).vertices])
    extra = Mesh(both, np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6]]))
    assert values(evaluate_reference_points(extra, PointCloud(points), within=0.3)) == found


def test_reference_points_count_within_a_share_of_their_diagonal(tmp_path: Path) -> None:
    write_points(tmp_path / "points.ply", np.array([[0.0, 0, 0.09], [20, 0, 0.11], [20, 20, 0.3]]))
    result = evaluate_against_file(plane(0.0), tmp_path / "points.ply", "reference_points")
    assert values(result)["share_within"] == pytest.approx(2 / 3)  # 0.5 % of 28.3
    assert result["points"] == 3


def test_an_unknown_protocol_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'dtv'; known are .*dtu, tanks_and_temples, views"):
        evaluate_against_file(plane(0.0), tmp_path / "points.ply", "dtv")
