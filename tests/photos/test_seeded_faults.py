"""Each fault that `data inspect` names, put into a sound scene; and the picture that it draws."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from neuralfw.geometry import Camera
from neuralfw.photos.faults import TURNS, turned
from neuralfw.photos.inspect import AWAY, UNMASKED, inspect

from . import scenes

CAMERAS = scenes.ring(8, 60, 48, 75.0)
POINTS, COLORS = scenes.cloud(200)
BALLS = scenes.pictures(CAMERAS)
PLAIN = [image[..., :3] for image in BALLS]
MASKS = [image[..., 3] for image in BALLS]


def reconstruction(folder, *, cameras=CAMERAS, points=POINTS, seen=None, masks=()):
    """COLMAP's layout, where the points were seen as the sound scene shows them."""
    names = scenes.save(folder / "images", PLAIN)
    seen = scenes.observations(CAMERAS, POINTS) if seen is None else seen
    (folder / "sparse" / "0").mkdir(parents=True)
    for name, data in scenes.colmap_binary(cameras, names, points, COLORS, seen).items():
        (folder / "sparse" / "0" / name).write_bytes(data)
    if masks:
        scenes.save(folder / "masks", masks)
    return inspect(folder)["faults"]


def test_a_sound_scene_has_no_faults(tmp_path):
    assert reconstruction(tmp_path / "a") == []
    assert reconstruction(tmp_path / "b", masks=MASKS) == []
    assert UNMASKED in inspect(tmp_path / "a")["notes"] and UNMASKED not in inspect(tmp_path / "b")["notes"]


@pytest.mark.parametrize(("fault", "turn"), TURNS.items())
def test_flipped_axes_by_points(tmp_path, fault, turn):
    assert reconstruction(tmp_path, cameras=turned(CAMERAS, turn)) == [fault]


def test_flipped_axes_by_points_of_which_nothing_says_where_they_were_seen(tmp_path):
    fault, turn = next(iter(TURNS.items()))
    nowhere = [(np.zeros((0, 2)), [])] * len(CAMERAS)
    assert reconstruction(tmp_path / "a", seen=nowhere) == []
    assert reconstruction(tmp_path / "b", cameras=turned(CAMERAS, turn), seen=nowhere) == [fault]
    (elsewhere,) = reconstruction(tmp_path / "c", points=POINTS + 50.0, seen=nowhere)
    assert "100 % of the points are seen by no camera" in elsewhere


@pytest.mark.parametrize("name", ["blender", "idr"])
def test_flipped_axes_by_masks(tmp_path, name):
    fault, turn = next(iter(TURNS.items()))
    scenes.WRITERS[name](tmp_path, turned(CAMERAS, turn), BALLS)
    assert inspect(tmp_path)["faults"] == [fault]


def test_flipped_axes_by_cameras_alone_are_noted(tmp_path):
    """Nothing tells a room seen from inside from cameras that are flipped."""
    scenes.write_transforms(tmp_path, turned(CAMERAS, next(iter(TURNS.values()))), PLAIN)
    facts = inspect(tmp_path)
    assert facts["faults"] == [] and AWAY in facts["notes"]


@pytest.mark.parametrize("factor", [0.2, 3.0, 1000.0])
def test_wrong_scale_of_points(tmp_path, factor):
    (fault,) = reconstruction(tmp_path, points=factor * POINTS)
    assert fault.startswith("wrong scale") and fault.endswith(f"the points are scaled by {1.0 / factor:.4g}")


def test_points_of_another_reconstruction(tmp_path):
    (fault,) = reconstruction(tmp_path, points=POINTS[::-1])
    assert "not of one reconstruction" in fault


@pytest.mark.parametrize(("radius", "said"), [(0.4, "outside the unit sphere"), (60.0, "has the radius")])
def test_wrong_scale_of_a_normalisation(tmp_path, radius, said):
    scenes.write_idr(tmp_path, CAMERAS, PLAIN, MASKS, center=(0.0, 0.0, 0.0), radius=radius)
    (fault,) = inspect(tmp_path)["faults"]
    assert fault.startswith("wrong scale") and said in fault


def test_wrong_scale_of_focal_lengths(tmp_path):
    scenes.write_transforms(tmp_path, [replace(camera, fx=1.3, fy=1.3) for camera in CAMERAS], PLAIN)
    (fault,) = inspect(tmp_path)["faults"]
    assert "degrees; focal lengths are not in pixels" in fault


def test_all_cameras_in_one_place(tmp_path):
    aims = [(np.cos(a), np.sin(a), 1.1) for a in np.linspace(0.0, 1.0, 8)]
    still = [Camera.look_at((0, 0, 1), aim, (0, 0, 1), focal=75.0, width=60, height=48) for aim in aims]
    scenes.write_transforms(tmp_path, still, PLAIN)
    assert inspect(tmp_path)["faults"] == ["all cameras stand in one place: a turn alone shows no depth"]


@pytest.mark.parametrize(("millimetres", "faulty"), [(3200, False), (60_000, True), (400, True)])
def test_wrong_scale_of_depth_images(tmp_path, millimetres, faulty):
    names = scenes.save(tmp_path / "depth", [np.full((48, 60), millimetres, np.uint16)] * len(CAMERAS))
    scenes.write_transforms(tmp_path, CAMERAS, PLAIN)
    document = json.loads((tmp_path / "transforms.json").read_text())
    for frame, name in zip(document["frames"], names, strict=True):
        frame["depth_file_path"] = f"depth/{name}"
    (tmp_path / "transforms.json").write_text(json.dumps(document))
    faults = inspect(tmp_path)["faults"]
    assert len(faults) == faulty and all(fault.startswith("wrong scale: depth images") for fault in faults)


def test_missing_masks(tmp_path):
    (fault,) = reconstruction(tmp_path, masks=MASKS[:5])
    assert fault == "missing masks: 3 of 8 photographs have none: 005.png, 006.png, 007.png"


def test_inverted_masks(tmp_path):
    said = "masks are inverted: the object lies in the middle, not along the edges"
    (fault,) = reconstruction(tmp_path / "all", masks=[255 - mask for mask in MASKS])
    assert fault == f"8 of 8 {said}: 000.png, 001.png, 002.png, …"
    (fault,) = reconstruction(tmp_path / "one", masks=[*MASKS[:3], 255 - MASKS[3], *MASKS[4:]])
    assert fault == f"1 of 8 {said}: 003.png"


def test_few_matches(tmp_path):
    seen = scenes.observations(CAMERAS, POINTS)
    seen[2] = (seen[2][0][:12], seen[2][1][:12])
    (fault,) = reconstruction(tmp_path, seen=seen)
    assert fault.startswith("few matches: 1 of 8 photographs see fewer than 30 points") and "002.png (12)" in fault


def test_the_picture(tmp_path):
    """Cameras, bounds, points, masks' outlines and faults are in it, each in its colour."""
    reconstruction(tmp_path, masks=MASKS)
    facts = inspect(tmp_path, picture=tmp_path / "scene.png")
    drawn = np.asarray(Image.open(tmp_path / "scene.png").convert("RGB")).reshape(-1, 3)
    assert facts["picture"] == str(tmp_path / "scene.png")

    def count(*color):
        return int((drawn == color).all(axis=1).sum())

    assert count(30, 90, 200) > 500 and count(220, 120, 0) > 50  # cameras, and the first
    assert count(200, 30, 60) > 300 and count(255, 0, 200) > 500  # bounds, outlines of masks
    assert count(255, 60, 0) > 500 and count(20, 140, 60) > 0  # where points were seen; "no faults found"
    assert count(255, 0, 0) == 0
    (tmp_path / "masks" / "003.png").unlink()
    inspect(tmp_path, picture=tmp_path / "scene.png")
    drawn = np.asarray(Image.open(tmp_path / "scene.png").convert("RGB")).reshape(-1, 3)
    assert count(255, 0, 0) > 0  # the fault
