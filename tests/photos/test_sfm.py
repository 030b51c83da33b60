"""Cameras of plain photographs, by COLMAP, and what is refused before it."""

import importlib.util

import numpy as np
import pytest
from PIL import ExifTags, Image

from neuralfw.errors import UserError
from neuralfw.metrics.cameras import camera_errors
from neuralfw.photos import read_capture
from neuralfw.photos.inspect import inspect
from neuralfw.photos.sfm import structure_from_motion

from . import rooms

needs_colmap = pytest.mark.skipif(importlib.util.find_spec("pycolmap") is None, reason="pycolmap is not installed")
CAMERAS = rooms.cameras()


def silent(step: str, done: int, total: int) -> None:
    assert done >= 0 and total >= 0 and step


def poses(cameras):
    return np.stack([camera.world_to_camera for camera in cameras])


@needs_colmap
def test_cameras_of_a_room_are_found_up_to_a_similarity(tmp_path):
    rooms.save(tmp_path / "photographs", rooms.photographs(CAMERAS))
    told = []
    notes = structure_from_motion(tmp_path / "photographs", tmp_path / "scene", None, lambda *step: told.append(step))
    capture = read_capture(tmp_path / "scene")
    errors = camera_errors(poses(capture.cameras), poses(CAMERAS))
    spread = np.linalg.norm(np.ptp([camera.center for camera in CAMERAS], axis=0))
    assert len(capture.views) == 6 and errors.center.max() < 0.01 * spread and errors.rotation.max() < 1.0
    assert all(view.distortion is None for view in capture.views)
    assert inspect(tmp_path / "scene")["faults"] == []
    up, back = -poses(capture.cameras).mean(axis=0)[1:3, :3]
    assert up[1] > 0.99 * np.linalg.norm(up) and back[2] > 0.0 and abs(back[0]) < 1e-5
    planes = np.abs(errors.similarity.apply(capture.points.points)).min(axis=1)
    assert len(planes) > 300 and np.median(planes) < 0.02
    assert notes[0] == "6 of 6 photographs have cameras, of one lens"
    assert [*dict.fromkeys(step for step, _, _ in told)] == ["features", "matches", "mapping", "undistortion"]
    assert ("features", 6, 6) in told and ("matches", 15, 15) in told and ("mapping", 6, 6) in told


@needs_colmap
@pytest.mark.slow
def test_of_several_parts_the_largest_is_taken_and_the_others_are_told(tmp_path):
    rooms.save(tmp_path / "photographs", rooms.photographs(CAMERAS), "a {}.png")
    rooms.save(tmp_path / "photographs", rooms.photographs(rooms.cameras(4), seed=1), "other_{}.png")
    rooms.save(tmp_path / "photographs", [np.full((240, 320, 3), 90, np.uint8)], "wall.png")
    notes = structure_from_motion(tmp_path / "photographs", tmp_path / "scene", None, silent)
    assert [view.name for view in read_capture(tmp_path / "scene").views] == [f"a_{i}.png" for i in range(6)]
    assert notes[0].startswith("6 of 11 photographs") and notes[2].startswith("5 photographs are left out: other_0.png")
    assert "fall into 2 parts" in notes[3] and "not those of 4" in notes[3]


@needs_colmap
def test_alpha_channels_become_masks_and_pictures_on_their_side_stand_up(tmp_path):
    images = rooms.photographs(CAMERAS)
    alpha = np.zeros((240, 320), np.uint8)
    alpha[:, 40:] = 255
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # to be turned by a quarter clockwise
    sideways = [np.rot90(np.dstack([image, alpha])) for image in images]
    rooms.save(tmp_path / "photographs", sideways, exif=exif)
    structure_from_motion(tmp_path / "photographs", tmp_path / "scene", "alpha", silent)
    capture = read_capture(tmp_path / "scene")
    assert camera_errors(poses(capture.cameras), poses(CAMERAS)).rotation.max() < 1.0
    for view in capture.views:
        shown = np.asarray(Image.open(view.mask))
        assert shown.shape == (view.camera.height, view.camera.width)
        assert abs(np.argmax(shown[120] > 127) - 40) < 4 and (shown[:, 60:] == 255).all()
    assert inspect(tmp_path / "scene")["masks"] == 6
    seen_at = capture.tracks.pixels[:, 0]
    assert seen_at.min() > 30.0  # no feature lies in what the masks leave out


@needs_colmap
@pytest.mark.slow
def test_a_folder_of_masks_leaves_the_cameras_what_is_around_and_the_points_what_is_inside(tmp_path):
    """Masks of what lies within 1.2 of the corner: a fifth of what the photographs show."""
    rooms.save(tmp_path / "photographs", rooms.photographs(CAMERAS))
    near = [np.linalg.norm(rooms.hits(camera)[1], axis=2) < 1.2 for camera in CAMERAS]
    rooms.save(tmp_path / "masks", [np.where(mask, 255, 0).astype(np.uint8) for mask in near])
    structure_from_motion(tmp_path / "photographs", tmp_path / "scene", str(tmp_path / "masks"), silent)
    capture = read_capture(tmp_path / "scene")
    errors = camera_errors(poses(capture.cameras), poses(CAMERAS))
    assert errors.rotation.max() < 1.0 and capture.views[0].mask.name == "000.png.png"
    points = errors.similarity.apply(capture.points.points)
    assert len(points) > 50 and np.quantile(np.linalg.norm(points, axis=1), 0.95) < 1.25


@needs_colmap
def test_photographs_without_anything_in_common_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    rooms.save(tmp_path / "photographs", [rng.integers(0, 255, (120, 160, 3), np.uint8) for _ in range(4)])
    with pytest.raises(UserError, match=r"too few matches: 0 of 6 pairs agree at 15 points") as caught:
        structure_from_motion(tmp_path / "photographs", tmp_path / "scene", None, silent)
    assert "Take more of them" in str(caught.value) and not (tmp_path / "scene").exists()


@needs_colmap
@pytest.mark.slow
def test_of_many_photographs_those_that_look_alike_are_matched(tmp_path, monkeypatch):
    """A walk past one room and then another: of 66 pairs few are tried, and the first room holds together."""
    monkeypatch.setattr("neuralfw.photos.sfm.FEW", 5)
    monkeypatch.setattr("neuralfw.photos.sfm.SIMILAR", 3)
    monkeypatch.setattr("neuralfw.photos.sfm.NEIGHBORS", 1)
    shuffled = [rooms.photographs(CAMERAS)[i] for i in (3, 0, 5, 1, 4, 2)]
    mixed = [image for pair in zip(shuffled, rooms.photographs(CAMERAS, seed=1), strict=True) for image in pair]
    rooms.save(tmp_path / "photographs", mixed)
    told = []
    structure_from_motion(tmp_path / "photographs", tmp_path / "scene", None, lambda *step: told.append(step))
    pairs = next(total for step, done, total in reversed(told) if step == "matches")
    assert pairs < 40
    assert len(read_capture(tmp_path / "scene").views) == 6


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *a: None if name == "pycolmap" else find(name, *a))
    rooms.save(tmp_path / "photographs", rooms.photographs(CAMERAS[:3]))
    with pytest.raises(UserError, match=r"pip install 'neuralfw\[sfm\]'"):
        structure_from_motion(tmp_path / "photographs", tmp_path / "scene", None, silent)


@pytest.mark.parametrize(
    ("files", "masks", "message"),
    [
        ({"a.png": None}, None, "has 1 photographs. At least 3 were expected"),
        ({"a.heic": b"x", "b.heic": b"x", "c.heic": b"x"}, None, r"its other files end in \.heic"),
        ({"a.png": None, "b.png": None, "c.png": b"torn"}, None, "c.png cannot be read as an image"),
        ({"a b.png": None, "a_b.png": None, "c.png": None}, None, "would both be called a_b.png"),
        ({"a.png": None, "b.png": None, "c.png": None}, "alpha", "a.png has no alpha channel"),
        ({"a.png": None, "b.png": None, "c.png": None}, "background=whitish", "a colour was expected"),
    ],
)
def test_what_is_refused_before_colmap(tmp_path, monkeypatch, files, masks, message):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    folder = tmp_path / "photographs"
    folder.mkdir()
    for name, data in files.items():
        if data is None:
            Image.new("RGB", (20, 10)).save(folder / name)
        else:
            (folder / name).write_bytes(data)
    with pytest.raises(UserError, match=message):
        structure_from_motion(folder, tmp_path / "scene", masks, silent)


@needs_colmap
@pytest.mark.slow
def test_cameras_of_the_fountain_are_the_surveyed_ones(shared_data, tmp_path):
    """Strecha's fountain-P11 at 768 x 512 pixels: 1 % of the cameras' spread, 7.7 m, and 1 degree."""
    source = shared_data / "multiview" / "colmap_fountain_p11"
    if not source.is_dir():
        pytest.skip("the fountain is not among the real data")
    structure_from_motion(source / "images_4", tmp_path / "scene", None, silent)
    capture = read_capture(tmp_path / "scene")
    true = np.stack([surveyed(source / "gt_dense_cameras" / f"{view.name}.camera") for view in capture.views])
    errors = camera_errors(poses(capture.cameras), true)
    centers = -np.einsum("vji,vj->vi", true[:, :3, :3], true[:, :3, 3])
    spread = float(np.linalg.norm(centers - centers.mean(axis=0), axis=1).max())
    assert len(capture.views) == 11
    assert errors.center.max() < 0.01 * spread and errors.rotation.max() < 1.0
    assert inspect(tmp_path / "scene")["faults"] == []


def surveyed(path):
    """The pose of a .camera file: K, three zeros, the rotation from camera to world, the centre."""
    numbers = np.array(path.read_text().split(), dtype=float)
    rotation, center = numbers[12:21].reshape(3, 3).T, numbers[21:24]
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, -rotation @ center
    return pose
