"""DTU, Tanks and Temples and reference points on planes and spheres whose figures are known in closed form."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.io import savemat

from neuralfw.errors import UserError
from neuralfw.geometry import Camera, Mesh, PointCloud, write_points
from neuralfw.metrics.against_file import Photographed, evaluate_against_file
from neuralfw.metrics.culling import cull_by_masks
from neuralfw.metrics.dtu import DtuScan, dense_points, evaluate_dtu, thinned
from neuralfw.metrics.reference_points import evaluate_reference_points
from neuralfw.metrics.registration import apply, closest_points, consensus, similarity_between
from neuralfw.metrics.tanks_and_temples import Crop, align_cameras, evaluate_tanks_and_temples, read_trajectory


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


def checkered(cells: int = 200, edge: float = 0.1) -> Mesh:
    """A square of 20 mm at z = 0, of which pixel (i, j) of `overhead` sees the vertex (i, j) edge in its middle."""
    grid = np.arange(cells * cells).reshape(cells, cells)
    x, y = np.meshgrid(np.arange(cells), np.arange(cells))
    vertices = np.stack([edge * x.ravel(), edge * y.ravel(), np.zeros(cells * cells)], axis=1)
    a, b, c, d = (g.ravel() for g in (grid[:-1, :-1], grid[:-1, 1:], grid[1:, :-1], grid[1:, 1:]))
    return Mesh(vertices, np.concatenate([np.stack([a, b, c], axis=1), np.stack([b, d, c], axis=1)]))


def overhead(size: int = 200, left: int = 0) -> Camera:
    """A camera 100 mm before that square, which sees 10 pixels a mm from column `left` on."""
    pose = np.eye(4)
    pose[2, 3] = 100.0
    return Camera(pose, 1000.0, 1000.0, 0.5 - left, 0.5, size, size)


def test_culling_keeps_a_disk_as_wide_as_the_dilation_around_a_mask_of_one_pixel() -> None:
    mask = np.zeros((200, 200), dtype=bool)
    mask[80, 100] = True
    culled = cull_by_masks(checkered(), [(overhead(), mask)], dilation=24 / 200)
    pixels = np.round(culled.vertices[:, :2] / 0.1)
    distance = np.linalg.norm(pixels - [100, 80], axis=1)
    assert distance.max() == 24.0
    assert np.pi * 2.3**2 < culled.face_areas.sum() < np.pi * 2.4**2
    smaller = overhead().resized(100, 100)  # half the image: half the pixels, the same disk
    halved = cull_by_masks(checkered(), [(smaller, mask[::2, ::2])], dilation=24 / 200)
    assert halved.face_areas.sum() == pytest.approx(culled.face_areas.sum(), rel=0.08)


def test_culling_takes_all_masks_and_forgives_what_a_photograph_does_not_show() -> None:
    everything, left_half = np.ones((200, 200), dtype=bool), np.zeros((200, 200), dtype=bool)
    left_half[:, :100] = True
    half = cull_by_masks(checkered(), [(overhead(), everything), (overhead(), left_half)], dilation=0.0)
    assert half.vertices[:, 0].max() == pytest.approx(9.9)
    beside = overhead(left=150)  # shows columns from 150 on, in a photograph that is empty
    rest = cull_by_masks(checkered(), [(beside, np.zeros((200, 200), dtype=bool))])
    assert rest.vertices[:, 0].max() == pytest.approx(14.9)
    behind = checkered()
    behind = Mesh(behind.vertices - [0.0, 0, 200.0], behind.faces)
    assert len(cull_by_masks(behind, [(overhead(), np.zeros((200, 200), dtype=bool))]).faces) == len(behind.faces)
    with pytest.raises(UserError, match="leaves nothing"):
        cull_by_masks(checkered(), [(overhead(), np.zeros((200, 200), dtype=bool))])


def test_culling_takes_from_dtu_what_lies_beside_the_object(tmp_path: Path) -> None:
    table = checkered()
    truth = lattice(0.0, 0.2)
    truth = truth[truth[:, 0] < 10.0]
    mask = np.zeros((200, 200), dtype=bool)
    mask[:, :100] = True
    whole = values(evaluate_dtu(table, scan(truth)))
    result = evaluate_dtu(table, scan(truth), views=[(overhead(), mask)])
    culled = values(result)
    assert result["protocol"] == "dtu_culled" and "dilated by 24 pixels in a width of 1600" in result["summary"]
    assert whole["accuracy"] > 2.0
    assert culled["accuracy"] == pytest.approx((10 * 0.05 + 0.3 * 0.15) / 10.3, abs=0.1)  # 3 of 200 pixels remain
    assert culled["completeness"] == pytest.approx(whole["completeness"], abs=0.01)
    with pytest.raises(UserError, match="needs the masks"):
        evaluate_against_file(table, tmp_path, "dtu_culled")


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
    found = values(evaluate_tanks_and_temples(upper, PointCloud(ball.vertices), 0.05, register=False, samples=100_000))
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
            evaluate_tanks_and_temples(mesh, truth, 0.02, alignment=turn, crop=WHOLE, register=register, samples=60_000)
        )["f_score"]
        for register in (False, True)
    ]
    assert scores[0] < 0.9 < 0.99 < scores[1]


def trajectory(count: int = 60) -> np.ndarray:
    """Centres of cameras on a spiral of 4 m around the scene."""
    angle = np.linspace(0.0, 4 * np.pi, count)
    return np.stack([4 * np.cos(angle), 4 * np.sin(angle), 0.5 + 0.1 * angle], axis=1)


def similarity(scale: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    move = trimesh.transformations.rotation_matrix(rng.uniform(0.5, 3.0), rng.normal(size=3))
    move[:3, :3] *= scale
    move[:3, 3] = rng.normal(size=3)
    return move


@pytest.mark.parametrize("share", [0.0, 0.2, 0.45])
def test_cameras_are_aligned_whatever_the_wrong_ones_say(share: float) -> None:
    move, placing, official = similarity(0.3, 1), similarity(1.7, 2), trajectory()
    rng = np.random.default_rng(3)
    scan_frame = apply(placing, official)
    ours = apply(np.linalg.inv(move), scan_frame)
    wrong = rng.permutation(60)[: round(share * 60)]
    ours[wrong] += rng.normal(0.0, 5.0, (len(wrong), 3))
    named = {f"{i + 1:06}.jpg": center for i, center in enumerate(ours)}
    found = align_cameras(named, official, placing)
    np.testing.assert_allclose(found.similarity, move, atol=1e-9)
    assert (found.cameras, found.agreeing) == (60, 60 - len(wrong))
    assert found.distance < 1e-9
    everyone = similarity_between(ours, scan_frame)
    assert share == 0.0 or np.abs(everyone - move).max() > 0.05  # what least squares alone would say


def test_noise_of_the_cameras_averages_out() -> None:
    move, official, rng = similarity(2.0, 4), trajectory(300), np.random.default_rng(5)
    noisy = apply(np.linalg.inv(move), official + rng.normal(0.0, 0.03, official.shape))
    found = align_cameras({f"{i:04}": c for i, c in enumerate(noisy)}, official, np.eye(4))
    assert found.agreeing > 295 and found.distance == pytest.approx(0.03 * np.sqrt(3), rel=0.1)
    assert np.linalg.norm(apply(found.similarity, noisy) - official, axis=1).max() < 0.2
    np.testing.assert_allclose(apply(found.similarity @ np.linalg.inv(move), np.eye(3)), np.eye(3), atol=0.01)


def test_photographs_and_the_official_log_belong_together_by_number_or_not_at_all() -> None:
    official = trajectory()
    some = {f"images/{i + 1:06}.jpg": official[i] for i in range(5, 50, 3)}
    np.testing.assert_allclose(align_cameras(some, official, np.eye(4)).similarity, np.eye(4), atol=1e-9)
    with pytest.raises(UserError, match="15 photographs do not match the 60 cameras"):
        align_cameras({f"frame_{chr(97 + i)}": official[i] for i in range(15)}, official, np.eye(4))
    shuffled = np.random.default_rng(0).permutation(60)
    with pytest.raises(UserError, match="cameras do not match the official ones: only"):
        align_cameras({f"{i:04}": official[j] for i, j in enumerate(shuffled)}, official, np.eye(4))
    line = np.stack([np.linspace(0, 9, 60), np.zeros(60), np.zeros(60)], axis=1)
    with pytest.raises(UserError, match="lie on a line"):
        align_cameras({f"{i:04}": c for i, c in enumerate(line)}, line, np.eye(4))


def test_two_partners_are_too_few_for_a_similarity() -> None:
    with pytest.raises(UserError, match="only 0 of 2"):
        consensus(np.eye(3)[:2], np.eye(3)[:2], 0.1)


def test_closest_points_find_a_small_similarity() -> None:
    shape = np.array(trimesh.creation.box((1.0, 1.4, 0.7)).subdivide_to_size(0.05).vertices)
    slip = trimesh.transformations.rotation_matrix(0.01, [1.0, 2.0, 3.0])
    slip[:3, :3] *= 1.004
    slip[:3, 3] = 0.004
    np.testing.assert_allclose(closest_points(apply(np.linalg.inv(slip), shape), shape, 0.5), slip, atol=1e-6)
    far = closest_points(shape + 9.0, shape, 0.5)
    np.testing.assert_array_equal(far, np.eye(4))


def test_a_scene_in_its_own_world_is_scored_by_way_of_its_cameras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move, placing, official = similarity(0.4, 6), similarity(1.3, 7), trajectory()
    box = trimesh.creation.box((1.0, 1.4, 0.7)).subdivide_to_size(0.03)
    on_scan = np.array(box.vertices)
    write_points(tmp_path / "Truck.ply", on_scan)
    np.savetxt(tmp_path / "Truck_trans.txt", placing)
    corners = [[-2.0, -2, 0], [2, -2, 0], [2, 2, 0], [-2, 2, 0]]
    crop = {"axis_min": -2.0, "axis_max": 2.0, "orthogonal_axis": "Z", "bounding_polygon": corners}
    (tmp_path / "Truck.json").write_text(json.dumps(crop))
    lines = []
    for i, center in enumerate(apply(np.linalg.inv(placing), trajectory())):
        pose = np.eye(4)
        pose[:3, 3] = center
        lines += [f"{i} {i} 0", *(" ".join(f"{v:.12f}" for v in row) for row in pose)]
    (tmp_path / "Truck_COLMAP_SfM.log").write_text("\n".join(lines) + "\n")
    np.testing.assert_allclose(
        read_trajectory(tmp_path / "Truck_COLMAP_SfM.log"), apply(np.linalg.inv(placing), official), atol=1e-9
    )
    centers = apply(np.linalg.inv(move), official)
    centers[::7] += 3.0
    photographs = Photographed(lambda: {f"{i + 1:06}.jpg": c for i, c in enumerate(centers)}, lambda: [])
    mesh = Mesh(apply(np.linalg.inv(move), on_scan), np.array(box.faces, dtype=np.int64))
    quickly = partial(evaluate_tanks_and_temples, samples=60_000)
    monkeypatch.setattr("neuralfw.metrics.against_file.evaluate_tanks_and_temples", quickly)
    result = evaluate_against_file(mesh, tmp_path / "Truck.ply", "tanks_and_temples", photographs)
    assert "aligned by 51 of 60 cameras" in result["summary"]
    np.testing.assert_allclose(result["world_to_scan"], move, atol=2e-3)
    with pytest.raises(UserError, match="no log of cameras"):
        (tmp_path / "Truck_COLMAP_SfM.log").write_text("0 0 0\n1 2 3\n")
        read_trajectory(tmp_path / "Truck_COLMAP_SfM.log")


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
    with pytest.raises(
        UserError, match=r"'dtv'; known are .*dtu, dtu_culled, tanks_and_temples, sequence, 4deform, views"
    ):
        evaluate_against_file(plane(0.0), tmp_path / "points.ply", "dtv")
