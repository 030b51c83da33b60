"""The published scenes among the shared data, and the one that ships with the recipes."""

from pathlib import Path

import numpy as np
import pytest

from neuralfw.photos import read_capture
from neuralfw.photos.hull import COVERED, Hull
from neuralfw.photos.inspect import inspect
from neuralfw.photos.pictures import Remap, read_depth, read_mask, read_picture

SHIPPED = Path(__file__).resolve().parents[2] / "recipes" / "data" / "mic"


@pytest.fixture
def multiview(shared_data):
    return shared_data / "multiview"


def _mask(view):
    return read_mask(view.mask or view.image, (view.camera.width, view.camera.height))


def test_dtu_hull_lies_in_every_mask(multiview):
    capture = read_capture(multiview / "dtu_scan37")
    assert len(capture.views) == 49 and "cameras_sphere.npz" in capture.notes[0]
    full = capture.views[0].camera.resized(1600, 1200)
    assert np.allclose(full.intrinsics, [2892.33, 2883.18, 823.21 + 0.5, 619.07 + 0.5], atol=0.02)
    views = capture.views[::4]
    cameras = [view.camera.in_training(capture.frame) for view in views]
    masks = [_mask(view) for view in views]
    hull = Hull(cameras, masks, within=np.array([[-1.0] * 3, [1.0] * 3]), cells=48)
    points = hull.sample(2000, np.random.default_rng(0))
    assert (np.linalg.norm(points, axis=1) < 1.5).all()
    for camera, mask in zip(cameras, masks, strict=True):
        pixels, depth = camera.project(points)
        seen = camera.sees(pixels, depth)
        x, y = pixels[seen].astype(int).T
        assert seen.mean() > 0.1 and (mask[y, x] >= COVERED).all()


def test_dtu_other_normalisation_is_the_same_world(multiview):
    near = read_capture(multiview / "dtu_scan37")
    far = read_capture(multiview / "dtu_scan37", cameras="cameras_large.npz")
    assert np.isclose(1.0 / far.frame.scale, 669.99963) and np.isclose(1.0 / near.frame.scale, 256.04834)
    assert np.allclose(near.views[7].camera.center, far.views[7].camera.center)


def test_mic_depth_is_along_the_ray(multiview):
    """Points at the depth maps' distances fall into the masks of other views; read along the axis, fewer do.

    Not all of them: a grey level is 0.03, which is 4 pixels.
    """
    capture = read_capture(multiview / "nerf_synthetic_mic")
    others = [(capture.views[i].camera, _mask(capture.views[i])) for i in capture.split["train"][::5]]

    def inside(along):
        shares = []
        for view in (capture.views[i] for i in capture.split["test"][::5]):
            size = (view.camera.width, view.camera.height)
            depth, known = read_depth(view.depth, size), _mask(view) > 250
            origin, rays = view.camera.rays()
            known &= depth > 0
            length = depth if along == "ray" else depth / (rays @ view.camera.axis)
            points = (origin + length[..., None] * rays)[known]
            everywhere = np.ones(len(points), dtype=bool)
            for camera, mask in others:
                x, y = np.clip(camera.project(points)[0].astype(int), 0, 399).T
                everywhere &= mask[y, x] > 0
            shares.append(everywhere.mean())
        return np.mean(shares)

    assert capture.views[50].depth.along == "ray"
    assert inside("ray") > 0.84 and inside("axis") < 0.79


def test_fountain_points_reproject_onto_observations(multiview):
    capture = read_capture(multiview / "colmap_fountain_p11")
    tracks, points = capture.tracks, capture.points.points
    assert len(points) == 14073 and abs(tracks.length.mean() - 4.89) < 0.005
    error = np.zeros(len(tracks.point))
    for index, view in enumerate(capture.views):
        mine = tracks.view == index
        pixels, depth = view.camera.project(points[tracks.point[mine]])
        assert (depth > 0).all()
        error[mine] = 4.0 * np.linalg.norm(pixels - tracks.pixels[mine], axis=1)
    of_point = np.bincount(tracks.point, weights=error) / np.bincount(tracks.point)
    assert abs(of_point.mean() - 0.559) < 0.005 and np.abs(of_point - tracks.error).mean() < 0.01


def test_fountain_agrees_with_the_calibrated_cameras(multiview):
    """After a similarity fit the centres lie 8.9 mm from the truth on average."""
    folder = multiview / "colmap_fountain_p11"
    capture = read_capture(folder)
    truth = []
    for file in sorted((folder / "gt_dense_cameras").iterdir()):
        numbers = np.array(file.read_text().split(), dtype=float)
        truth.append(numbers[21:24])
    ours, truth = np.stack([view.camera.center for view in capture.views]), np.stack(truth)
    a, b = ours - ours.mean(axis=0), truth - truth.mean(axis=0)
    u, s, v = np.linalg.svd(b.T @ a)
    flip = np.diag([1.0, 1.0, np.linalg.det(u @ v)])
    scale = np.trace(np.diag(s) @ flip) / (a**2).sum()
    residual = np.linalg.norm(b - scale * a @ (u @ flip @ v).T, axis=1)
    assert abs(scale - 1.300) < 0.001 and residual.mean() < 0.0095 and residual.max() < 0.0155


def test_fox_skips_frames_and_is_undistorted(multiview):
    capture = read_capture(multiview / "instant_ngp_fox")
    assert len(capture.views) == 50 and capture.notes[0].startswith("17 of 67 frames")
    view = capture.views[0]
    assert view.distortion.model == "OPENCV" and (view.camera.width, view.camera.height) == (270, 480)
    remap = Remap.of(view.camera, view.distortion)
    picture = read_picture(view.image, (270, 480))
    change = np.abs(remap(picture).astype(int) - picture)[remap.valid]
    assert 0.9 < remap.valid.mean() < 1.0 and 0 < change.mean() < 20


def test_temple_box_is_seen_by_all_cameras(multiview):
    capture = read_capture(multiview / "middlebury_templeSparseRing")
    low, high = np.array([-0.073568, 0.021728, -0.012445]), np.array([0.028855, 0.181892, 0.062736])
    corners = np.stack(np.meshgrid(*np.stack([low, high]).T), axis=-1).reshape(-1, 3)
    for view in capture.views:
        pixels, depth = view.camera.project(corners)
        assert view.camera.sees(pixels, depth).all()
        x, y = view.camera.project(0.5 * (low + high)[None])[0][0].astype(int)
        around = read_picture(view.image, (640, 480))[y - 20 : y + 20, x - 20 : x + 20]
        assert around.mean() > 30, "the temple stands on black"


def test_nr_nerf_sequence(shared_data):
    capture = read_capture(shared_data / "sequences" / "nonrigid_nerf_example")
    assert len(capture.views) == 86 and capture.views[-1].time == 1.0
    assert capture.split["test"] == (20,) and len(capture.split["train"]) == 85
    assert np.isclose(capture.views[0].camera.fx, 128.3047637939453)


def test_the_shipped_scene():
    capture = read_capture(SHIPPED)
    assert {name: len(members) for name, members in capture.split.items()} == {"train": 50, "test": 20}
    for view in capture.views[::10]:
        assert read_picture(view.image, (200, 200)).shape == (200, 200, 4)
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*")) < 2e6


@pytest.mark.parametrize(
    "name",
    ["colmap_fountain_p11", "dtu_scan37", "instant_ngp_fox", "middlebury_templeSparseRing", "nerf_synthetic_mic"],
)
def test_a_published_scene_has_no_faults(multiview, name):
    assert inspect(multiview / name)["faults"] == []
