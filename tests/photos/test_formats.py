"""One scene in every format: the readers must agree on it."""

import json

import numpy as np
import pytest

from neuralfw.errors import UserError
from neuralfw.geometry import Camera
from neuralfw.photos import detect, read_capture

from . import scenes


@pytest.fixture(scope="module")
def cameras():
    return scenes.ring()


@pytest.fixture(scope="module")
def images(cameras):
    return scenes.pictures(cameras)


@pytest.mark.parametrize("format", scenes.WRITERS)
def test_every_format_gives_the_same_rays(tmp_path, cameras, images, format):
    scenes.WRITERS[format](tmp_path, cameras, images)
    assert detect(tmp_path) == format
    capture = read_capture(tmp_path)
    assert capture.format == format and len(capture.views) == len(cameras)
    for view, camera in zip(capture.views, cameras, strict=True):
        origin, rays = view.camera.rays()
        truth = camera.rays()
        assert np.abs(origin - truth[0]).max() < 1e-9 and np.abs(rays - truth[1]).max() < 1e-9
        assert view.image.is_file() and view.distortion is None


def test_general_intrinsics_survive(tmp_path, images):
    cameras = [Camera(c.world_to_camera, 31.0, 29.0, 10.4, 9.7, 24, 18) for c in scenes.ring()]
    for format in ("transforms", "idr", "colmap", "middlebury", "neilf"):
        (tmp_path / format).mkdir()
        scenes.WRITERS[format](tmp_path / format, cameras, images)
        for view in read_capture(tmp_path / format).views:
            assert np.allclose(view.camera.intrinsics, (31.0, 29.0, 10.4, 9.7), atol=1e-9), format


@pytest.mark.parametrize("text", [False, True])
def test_colmap_points_and_tracks(tmp_path, cameras, images, text):
    scenes.write_colmap(tmp_path, cameras, images, text=text)
    capture = read_capture(tmp_path)
    points, colors = scenes.cloud()
    assert np.array_equal(capture.points.points, points) and np.allclose(capture.points.colors, colors / 255.0)
    tracks = capture.tracks
    seen = scenes.observations(cameras, points)
    assert len(tracks.point) == sum(len(index) - 1 for _, index in seen)
    assert np.array_equal(tracks.length, np.bincount(tracks.point, minlength=len(points)))
    assert (tracks.error == 0.5).all() and capture.holdout == 8
    for i, view in enumerate(capture.views):
        mine = tracks.view == i
        assert np.abs(view.camera.project(points[tracks.point[mine]])[0] - tracks.pixels[mine]).max() < 1e-9


def test_colmap_images_on_a_smaller_scale(tmp_path, cameras):
    small = scenes.pictures([c.scaled(0.5) for c in cameras])
    scenes.write_colmap(tmp_path, cameras, small, subfolder="images_2")
    capture = read_capture(tmp_path)
    assert any("images_2" in note for note in capture.notes)
    for view, camera in zip(capture.views, cameras, strict=True):
        assert (view.camera.width, view.camera.height) == (12, 9)
        assert np.allclose(view.camera.intrinsics, camera.intrinsics / 2.0)
    at = capture.tracks.view == 2
    pixels = cameras[2].project(capture.points.points[capture.tracks.point[at]])[0]
    assert np.allclose(capture.tracks.pixels[at], pixels / 2.0)


def test_colmap_observations_are_undistorted(tmp_path, cameras, images):
    """What the writer stores as seen is read as distorted: r_stored = r (1 + 0.1 r²)."""
    c = cameras[0]
    scenes.write_colmap(tmp_path, cameras, images, model=2, parameters=(c.fx, c.cx, c.cy, 0.1))
    capture = read_capture(tmp_path)
    points = scenes.cloud()[0]
    ideal = (cameras[1].project(points)[0] - (c.cx, c.cy)) / c.fx
    mine = capture.tracks.view == 1
    found = (capture.tracks.pixels[mine] - (c.cx, c.cy)) / c.fx
    radius = np.linalg.norm(found, axis=1)
    expected = np.linalg.norm(ideal[capture.tracks.point[mine]], axis=1)
    assert np.allclose(radius * (1.0 + 0.1 * radius**2), expected, atol=1e-10)
    assert capture.views[0].distortion.model == "SIMPLE_RADIAL"


def test_colmap_masks_and_dense_cloud(tmp_path, cameras, images):
    scenes.write_colmap(tmp_path, cameras, [image[..., :3] for image in images])
    scenes.save(tmp_path / "masks", [image[..., 3] for image in images], "{:03}.png.png")
    (tmp_path / "dense").mkdir()
    (tmp_path / "dense" / "fused.ply").write_bytes(b"")
    capture = read_capture(tmp_path)
    assert [view.mask.name for view in capture.views] == [f"{view.name}.png" for view in capture.views]
    assert capture.cloud == tmp_path / "dense" / "fused.ply"


def test_blender_splits(tmp_path, cameras, images):
    scenes.write_blender(tmp_path, cameras, images, test=(1, 4))
    capture = read_capture(tmp_path)
    assert capture.split == {"train": (0, 1, 2, 3), "test": (4, 5)}
    assert [view.name for view in capture.views][3:] == ["train/r_3.png", "test/r_0.png", "test/r_1.png"]
    assert np.allclose(capture.views[4].camera.world_to_camera, cameras[1].world_to_camera)


def test_transforms_frames_of_their_own(tmp_path, cameras, images):
    scenes.write_transforms(
        tmp_path, cameras, images, train_filenames=["images/000.png"], val_filenames=["images/002.png"]
    )
    file = tmp_path / "transforms.json"
    document = json.loads(file.read_text())
    document["frames"][0] |= {"fl_x": 40.0, "k1": 0.01, "depth_file_path": "d.png"}
    document["frames"][3]["file_path"] = "images/gone.png"
    file.write_text(json.dumps(document))
    capture = read_capture(file)
    first, second = capture.views[:2]
    assert (first.camera.fx, first.camera.fy, second.camera.fx) == (40.0, 30.0, 30.0)
    assert first.distortion.coefficients == (0.01, 0.0, 0.0, 0.0) and second.distortion is None
    assert first.depth.path == tmp_path / "d.png" and second.depth is None
    assert len(capture.views) == 5 and "images/gone.png" in capture.notes[0]
    assert capture.split == {"train": (0,), "val": (2,)}


def test_idr_normalisation_and_masks(tmp_path, cameras, images):
    masks = [image[..., 3] for image in images]
    scenes.write_idr(tmp_path, cameras, [image[..., :3] for image in images], masks)
    capture = read_capture(tmp_path)
    assert np.allclose(capture.frame.to_training(np.array([[2.2, 0.1, -0.1]])), [[1.0, 0.0, 0.0]])
    assert all(view.mask is not None for view in capture.views)


def test_neilf_box_and_unfound_cameras(tmp_path, cameras, images):
    scenes.write_neilf(tmp_path, cameras, images)
    capture = read_capture(tmp_path)
    assert np.allclose(capture.frame.to_training(np.array([[2.2, 0.1, -0.1]])), [[1.0, 0.0, 0.0]])
    assert "1 of 7 images" in capture.notes[0]


def test_precomputed_poses_of_nr_nerf(tmp_path, cameras, images):
    scenes.save(tmp_path / "images", images)
    poses = []
    for camera in cameras:
        right, down, forward = camera.world_to_camera[:3, :3]
        size = [camera.height, camera.width, camera.fx]
        poses.append(np.stack([right, -down, -forward, camera.center, size], axis=1).tolist())
    (tmp_path / "precomputed.json").write_text(json.dumps({"poses": poses, "i_test": [1, 3]}))
    capture = read_capture(tmp_path)
    assert capture.split == {"train": (0, 2, 4, 5), "test": (1, 3)}
    (tmp_path / "precomputed.json").write_text(json.dumps({"poses": poses, "i_test": 2}))
    assert read_capture(tmp_path).split == {"train": (0, 1, 3, 4, 5), "test": (2,)}
    assert [view.time for view in capture.views] == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert np.allclose(capture.views[5].camera.rays()[1], cameras[5].rays()[1])


def test_nothing_known(tmp_path):
    with pytest.raises(UserError, match=r"in a known format.*transforms_train\.json"):
        read_capture(tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        read_capture(tmp_path / "gone")
    with pytest.raises(UserError, match="is not of format colmap"):
        read_capture(tmp_path, "colmap")
