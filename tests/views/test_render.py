"""The verb render on toy runs: what pictures show, where cameras stand, which files are written, what is refused."""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import neuralfw
from neuralfw.cli import app
from neuralfw.errors import UserError
from neuralfw.film.shots import Shot, orbit, orbit_of, read_path, timed
from neuralfw.geometry import Camera
from neuralfw.run import Run

from .conftest import CENTER, RADIUS, camera, covered

Write = Callable[..., Path]
PAINT = 255 * np.array([0.5, 0.25, 0.75])


@pytest.fixture
def run(recipe: Write, tmp_path: Path) -> Run:
    return neuralfw.train(recipe(), ["evaluate.views=false"], out=tmp_path / "run", device="cpu")


@pytest.fixture
def growing(recipe: Write, tmp_path: Path) -> Run:
    path = recipe()
    path.write_text(path.read_text().replace('type   = "ball"', 'type   = "growing_ball"'))
    return neuralfw.train(path, ["evaluate.views=false"], out=tmp_path / "growing", device="cpu")


def render(run: Run, *arguments: object) -> Result:
    return CliRunner().invoke(app, ["render", str(run.folder.root), *map(str, arguments)])


def pictures(result: Result) -> list[np.ndarray]:
    assert result.exit_code == 0, result.output
    return [np.asarray(Image.open(line).convert("RGB")).astype(float) for line in result.output.split()]


def test_the_renderer_sees_what_the_photographs_see(run: Run, tmp_path: Path) -> None:
    shown = pictures(render(run, "--cameras", "test", "--by", "renderer", "-o", tmp_path / "a.png"))
    assert len(shown) == 4
    for k, picture in zip(range(6, 10), shown, strict=True):
        inside = covered(camera(k))
        np.testing.assert_allclose(picture[inside], np.broadcast_to(PAINT, (inside.sum(), 3)), atol=1)
        assert (picture[~inside] == 255).all()


def test_the_mesh_has_the_outline_depth_and_normals_of_the_ball(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "path.json"
    eye = Camera.look_at(CENTER + np.array([0.0, 0.0, 8.0]), CENTER, [0, 1, 0], focal=60.0, width=64, height=64)
    pose = np.linalg.inv(eye.world_to_camera) @ np.diag([1.0, -1.0, -1.0, 1.0])
    item = {"camera_to_world": pose.ravel().tolist(), "fov": math.degrees(2 * math.atan(32 / 60)), "aspect": 1}
    file.write_text(json.dumps({"render_height": 64, "render_width": 64, "camera_path": [item]}))
    shot = read_path(file)[0]
    assert (shot.camera.fx, shot.camera.width, shot.time) == (pytest.approx(60.0), 64, None)
    np.testing.assert_allclose(shot.camera.world_to_camera, eye.world_to_camera, atol=1e-9)
    shown = pictures(
        render(run, "--cameras", file, "--by", "mesh", "--what", "mask,normal,depth", "-o", tmp_path / "a.png")
    )
    mask, normal, depth = np.split(shown[0], 3, axis=1)
    assert (mask[..., 0] / 255).sum() == pytest.approx(math.pi * (60 * RADIUS) ** 2 / (64 - RADIUS**2), rel=0.03)
    np.testing.assert_allclose(normal[32, 32], [127, 127, 255], atol=12)
    assert normal[32, 40, 0] > 160 and normal[24, 32, 1] > 160
    assert depth[32, 32, 0] > depth[32, 44, 0]


def test_a_distance_learnt_from_points_is_seen_by_a_renderer_that_no_pass_uses(
    tiny_recipe: Write, tmp_path: Path
) -> None:
    """The sphere of the points, and nothing in colour, for no field has any."""
    traced = neuralfw.train(tiny_recipe('\n[renderers.eye]\ntype = "sphere_trace"\n'), out=tmp_path / "traced")
    middle = traced.frame.to_world(np.zeros((1, 3)))[0]
    away = np.array([0.0, 0.0, 4.0 / traced.frame.scale])
    eye = Camera.look_at(middle + away, middle, [0, 1, 0], focal=60.0, width=32, height=32)
    seen = traced.render(eye)
    assert {*seen} == {"alpha", "depth", "normal"}
    hit = seen["alpha"] > 0.5
    assert 0.05 < hit.mean() < 0.95
    assert (seen["normal"][hit] @ eye.axis).mean() < -0.5
    unseen = neuralfw.train(tiny_recipe(), out=tmp_path / "unseen")
    with pytest.raises(UserError, match="no renderer of posed images"):
        unseen.render(eye)


def test_an_orbit_goes_once_around_and_sees_the_middle() -> None:
    lens = Camera(np.eye(4), 50.0, 55.0, 20.0, 16.0, 40, 32)
    up = np.array([0.0, 0.0, 1.0])
    cameras = orbit(CENTER, up, lens, 6.0, 8, elevation=30.0)
    around = np.stack([c.center for c in cameras]) - CENTER
    np.testing.assert_allclose(np.linalg.norm(around, axis=1), 6.0)
    np.testing.assert_allclose(around[:, 2], 3.0)
    np.testing.assert_allclose(around.sum(axis=0)[:2], 0.0, atol=1e-9)
    for each in cameras:
        pixel, depth = each.project(CENTER[None])
        np.testing.assert_allclose(pixel[0], [20.0, 16.0])
        assert depth[0] == pytest.approx(6.0) and (each.fx, each.fy) == (50.0, 55.0)
        assert each.world_to_camera[1, 2] < 0.0  # down in the picture is down in the world


def test_an_orbit_is_as_far_as_the_photographs_were(run: Run) -> None:
    centers = np.stack([camera(k).center for k in range(6)])
    for each in orbit_of(run, 4):
        distance = np.linalg.norm(each.center - CENTER)
        assert distance == pytest.approx(np.linalg.norm(centers - CENTER, axis=1).mean(), rel=0.1)
        assert (each.width, each.height) == (40, 40)


def test_a_film_of_a_scene_that_moves_runs_through_its_times(growing: Run) -> None:
    result = render(growing, "--frames", "5", "--size", "96", "--what", "mask", "--times", "0,1")
    assert result.exit_code == 0, result.output
    assert Path(result.output.strip()) == growing.folder.root / "renders" / "orbit_mask.gif"
    covers = []
    with Image.open(result.output.strip()) as film:
        for k in range(5):
            film.seek(k)
            covers.append(np.asarray(film.convert("L")).mean() / 255)
    assert covers[0] == 0.0
    distance = np.linalg.norm(orbit_of(growing, 1)[0].center - CENTER)
    radius = RADIUS * np.arange(1, 5) / 4
    area = radius**2 / (distance**2 - radius**2)
    np.testing.assert_allclose(np.array(covers[1:]) / covers[4], area / area[-1], rtol=0.1)


def test_times_go_evenly_through_those_given() -> None:
    shots = [Shot(camera(0))] * 5
    assert [shot.time for shot in timed(shots, [0.0, 1.0, 0.0])] == [0.0, 0.5, 1.0, 0.5, 0.0]
    assert [shot.time for shot in timed(shots, [0.5])] == [0.5] * 5


def test_an_mp4_is_encoded_where_its_package_is_installed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neuralfw.film.files.find_spec", lambda name: None)
    result = render(run, "-o", tmp_path / "a.mp4")
    assert result.exit_code == 2 and "pip install 'neuralfw[video]'" in result.output
    monkeypatch.setattr("neuralfw.film.files.find_spec", lambda name: object())
    sent: list[np.ndarray] = []

    def write_frames(path: str, size: tuple[int, int], **_: object) -> SimpleNamespace:
        assert size == (34, 34)
        return SimpleNamespace(send=lambda frame: sent.append(frame), close=lambda: Path(path).touch())

    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", SimpleNamespace(write_frames=write_frames))
    result = render(run, "-o", tmp_path / "a.mp4", "--frames", "2", "--size", "33")
    assert result.exit_code == 0, result.output
    assert [None if frame is None else frame.shape for frame in sent] == [None, (34, 34, 3), (34, 34, 3)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cameras", "nowhere.json"], "expected orbit, train, test, or the file of a camera path"),
        (["--what", "rgb,colour"], "--what colour: expected of rgb, depth, normal, mask"),
        (["-o", "film.avi"], ".avi cannot be written. Known: .png .gif .mp4"),
        (["--times", "2"], "a time lies in [0, 1]"),
    ],
)
def test_what_cannot_be_rendered_is_told(run: Run, arguments: list[str], message: str) -> None:
    result = render(run, *arguments)
    assert result.exit_code == 2 and message in result.output


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "'render_height' must be a finite number"),
        ({"render_height": 8, "render_width": 8, "camera_path": []}, "holds no camera"),
        ({"render_height": 8, "render_width": 8, "camera_path": [{}]}, "'camera_to_world'"),
        ({"render_height": 0.5, "render_width": 8, "camera_path": [{}]}, "is a number of pixels"),
    ],
)
def test_a_file_that_is_no_camera_path_is_told(tmp_path: Path, document: object, message: str) -> None:
    (tmp_path / "path.json").write_text(json.dumps(document))
    with pytest.raises(UserError, match=message):
        read_path(tmp_path / "path.json")
