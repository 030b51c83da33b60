"""neuralfw data inspect."""

import importlib.util
import json

import numpy as np
import pytest
from photos import rooms, scenes
from PIL import Image

from neuralfw.geometry import read_mesh
from neuralfw.metrics.cameras import camera_errors
from neuralfw.photos import read_capture

CAMERAS = scenes.ring(6, 40, 32, 50.0)


@pytest.fixture
def folder(tmp_path):
    scenes.write_blender(tmp_path, CAMERAS, scenes.pictures(CAMERAS), test=(1, 4))
    return tmp_path


def test_what_a_folder_holds(cli, folder):
    result = cli("data", "inspect", folder)
    assert result.exit_code == 0
    rows = dict(line.split(maxsplit=1) for line in result.stdout.splitlines() if not line.startswith(" "))
    assert rows["format"] == "blender" and rows["photographs"] == "6: 40 x 32" and rows["sets"] == "4 train, 2 test"
    assert "6 of 6, alpha channels" in rows["masks"] and "FAULT" not in rows


def test_the_same_as_json(cli, folder):
    facts = json.loads(cli("data", "inspect", folder, "--json").stdout)
    assert facts["images"] == 6 and facts["sizes"] == {"40 x 32": 6} and facts["faults"] == []
    assert facts["memory_bytes"] == 6 * 40 * 32 * 4 and facts["cameras"]["focal_pixels"] == [50.0, 50.0]
    assert np.allclose(facts["cameras"]["look_at"], (0.1, -0.05, 0.02), atol=1e-5)
    assert min(facts["hull"]["upper"]) > 0.9


def test_points_and_spare_images(cli, tmp_path):
    images = [image[..., :3] for image in scenes.pictures(CAMERAS)]
    scenes.write_colmap(tmp_path, CAMERAS, images)
    scenes.save(tmp_path / "images", images[:1], "spare.png")
    facts = json.loads(cli("data", "inspect", tmp_path, "--json").stdout)
    assert facts["points"]["count"] == 60 and facts["points"]["mean_error_pixels"] == 0.5
    assert facts["sets"] == {"train": 5, "test": 1} and "1 images have no pose" in facts["notes"][-1]


def test_faults_are_told_all_together(cli, folder):
    broken = folder / "train" / "r_2.png"
    broken.write_bytes(broken.read_bytes()[:-80])
    scenes.save(folder / "test", [np.zeros((32, 40, 4), np.uint8)], "r_0.png")
    result = cli("data", "inspect", folder)
    assert result.exit_code == 2 and result.stdout.count("\nFAULT ") == 2
    unreadable, empty = json.loads(cli("data", "inspect", folder, "--json").stdout)["faults"]
    assert "r_2.png cannot be read as an image" in unreadable
    assert empty == "1 of 5 masks show no object: test/r_0.png"


def test_what_cannot_be_read_at_all(cli, tmp_path):
    result = cli("data", "inspect", tmp_path)
    assert result.exit_code == 2 and "holds no photographs with poses in a known format" in result.output
    result = cli("data", "inspect", tmp_path, "--format", "colmapp")
    assert result.exit_code == 2 and "Did you mean colmap?" in result.output


def test_a_picture_of_it(cli, folder, tmp_path):
    result = cli("data", "inspect", folder, "-o", tmp_path / "scene.png")
    assert result.exit_code == 0 and f"drawn in       {tmp_path / 'scene.png'}" in result.stdout
    with Image.open(tmp_path / "scene.png") as drawn:
        assert drawn.width > 1000


# -- data convert --------------------------------------------------------------------------------------------------


def test_photographs_become_the_layout_of_idr(cli, folder, tmp_path):
    noise = "degrees=2,distance=0.02,seed=0"
    result = cli("data", "convert", folder, tmp_path / "scan", "--masks", "alpha", "--camera-noise", noise)
    assert result.exit_code == 0 and result.stdout.splitlines()[-1] == str(tmp_path / "scan")
    assert "by the silhouettes" in result.stdout and "holdout = 8" in result.stdout
    facts = json.loads(cli("data", "inspect", tmp_path / "scan", "--json").stdout)
    assert facts["format"] == "idr" and facts["masks"] == 6 and facts["faults"] == []
    noisy = cli("data", "inspect", tmp_path / "scan", "--cameras", "cameras_linear_init.npz", "--json")
    assert json.loads(noisy.stdout)["cameras"] != facts["cameras"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--masks", "threshold"], "--masks threshold: a number from 0 to 255 was expected"),
        (["--masks", "nowhere"], "--masks nowhere: a folder of masks was expected"),
        (["--camera-noise", "degree=2"], "Did you mean degrees?"),
        (["--box", "0,0,0"], "six numbers were expected"),
        (["--format", "blendr"], "Did you mean blender?"),
    ],
)
def test_what_cannot_be_converted(cli, folder, tmp_path, options, message):
    result = cli("data", "convert", folder, tmp_path / "scan", *options)
    assert result.exit_code == 2 and message in result.output and not (tmp_path / "scan").exists()


def test_a_mesh_is_photographed(cli, tmp_path):
    import trimesh

    trimesh.creation.icosphere(2, 1.0).export(tmp_path / "ball.ply")
    result = cli("data", "convert", tmp_path / "ball.ply", tmp_path / "ball", "--views", "4", "--size", "32")
    assert "4 views of 32 x 32 pixels and 1 held out" in result.stdout
    assert len([*(tmp_path / "ball" / "train").glob("*.png")]) == 4


# -- from plain photographs to a mesh ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("pycolmap") is None, reason="pycolmap is not installed")
def test_two_commands_lead_from_plain_photographs_to_a_mesh(cli, tmp_path):
    """Of the corner of a room: its three planes, two units about the corner, to 2 % of the cameras' distance."""
    cameras = rooms.cameras(12)
    rooms.save(tmp_path / "photographs", rooms.photographs(cameras))
    first = cli("data", "convert", tmp_path / "photographs", tmp_path / "scene", "--sfm")
    assert first.exit_code == 0 and "12 of 12 photographs have cameras" in first.stdout and "FAULT" not in first.stdout
    assert (tmp_path / "scene" / "scene.png").is_file()
    small = ["data.images.max_size=160", "stages.appearance.steps=300", "export.mesher.resolution=96"]
    options = [part for key in small for part in ("--set", key)]
    second = cli(
        "run", "photographs", "--set", f"data.images.path={tmp_path / 'scene'}", *options, "--out", tmp_path / "run"
    )
    assert second.exit_code == 0, second.output
    found = read_capture(tmp_path / "scene").cameras
    errors = camera_errors(*(np.stack([c.world_to_camera for c in some]) for some in (found, cameras)))
    vertices = errors.similarity.apply(read_mesh(tmp_path / "run" / "meshes" / "mesh.ply").vertices)
    near = vertices[np.linalg.norm(vertices, axis=1) < 2.0]
    assert len(near) > 500 and np.quantile(np.abs(near).min(axis=1), 0.8) < 0.1


def test_photographs_without_cameras_have_no_box_and_no_noise(cli, tmp_path):
    result = cli("data", "convert", tmp_path, tmp_path / "scene", "--sfm", "--box", "0,0,0,1,1,1")
    assert result.exit_code == 2 and "--sfm goes with --masks and no other option" in result.output
