"""Runs judged by photographs held out, from recipe to figures and pictures, on a ball whose figures are known."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import neuralfw
from neuralfw.cli import app
from neuralfw.errors import UserError
from neuralfw.geometry import Camera
from neuralfw.run import Run

from .conftest import CENTER, COLOR, RADIUS, camera, covered

Write = Callable[..., Path]
PAINT = np.array([0.5, 0.25, 0.75])


@pytest.fixture
def run(recipe: Write, tmp_path: Path) -> Run:
    return neuralfw.train(recipe(), out=tmp_path / "run", device="cpu")


def test_a_finished_run_is_judged_by_photographs_held_out(run: Run) -> None:
    result = json.loads((run.folder.eval / "views.json").read_text())
    assert (result["protocol"], result["views"]) == ("views", 4)
    values = {name: metric["value"] for name, metric in result["metrics"].items()}
    error = float(((PAINT - COLOR / 255.0) ** 2).mean())
    assert values["psnr_mask"] == pytest.approx(-10 * math.log10(error), abs=1e-3)
    share = [covered(camera(k)).mean() for k in range(6, 10)]
    assert values["psnr"] == pytest.approx(np.mean([-10 * math.log10(error * s) for s in share]), abs=1e-3)
    assert 0.9 < values["silhouette_iou"] <= 1.0
    assert 0.0 < values["ssim"] < 1.0
    assert "ray_distance_median" in result["omitted"]
    assert all({"unit", "better", "definition"} <= metric.keys() for metric in result["metrics"].values())


def test_pictures_show_photograph_render_and_normals(run: Run) -> None:
    names = sorted(path.name for path in run.folder.images.glob("test_*.png"))
    assert names == ["test_000.png", "test_002.png", "test_003.png"]
    photograph, render, normals = np.split(np.asarray(Image.open(run.folder.images / names[0])), 3, axis=1)
    inside = covered(camera(6))
    np.testing.assert_array_equal(photograph[inside], np.broadcast_to(COLOR, (inside.sum(), 3)))
    np.testing.assert_allclose(render[inside], np.broadcast_to(255 * PAINT, (inside.sum(), 3)), atol=1)
    assert not photograph[~inside].any() and not render[~inside].any()
    assert (normals[0, 0] == 255).all()
    np.testing.assert_allclose(normals[20, 20] / 127.5 - 1, [0.0, 0.0, 1.0], atol=0.06)
    assert normals[20, 26, 0] > 150 and normals[14, 20, 1] > 150


def test_photographs_learnt_from_are_judged_when_asked_for(run: Run) -> None:
    assert not (run.folder.eval / "training_views.json").exists()
    result = run.eval("training_views")
    assert (result["protocol"], result["views"]) == ("training_views", 6)
    error = float(((PAINT - COLOR / 255.0) ** 2).mean())
    share = [covered(camera(k)).mean() for k in range(6)]
    expected = np.mean([-10 * math.log10(error * s) for s in share])
    assert result["metrics"]["psnr"]["value"] == pytest.approx(expected, abs=1e-3)
    assert sorted(path.name for path in run.folder.images.glob("train_*.png")) == [
        f"train_00{k}.png" for k in (0, 2, 5)
    ]


def test_a_run_renders_a_camera_of_the_world(run: Run) -> None:
    eye = Camera.look_at(CENTER + np.array([0.0, 0.0, 8.0]), CENTER, [0.0, 1.0, 0.0], focal=60.0, width=31, height=21)
    images = run.render(eye, background=(1.0, 0.0, 0.0))
    assert {name: image.shape for name, image in images.items()} == {
        "rgb": (21, 31, 3), "alpha": (21, 31), "depth": (21, 31), "normal": (21, 31, 3),
    }  # fmt: skip
    assert images["depth"][10, 15] == pytest.approx(8.0 - RADIUS, rel=1e-4)
    np.testing.assert_allclose(images["normal"][10, 15], [0.0, 0.0, 1.0], atol=1e-3)
    np.testing.assert_allclose(images["rgb"][10, 15], PAINT, atol=1e-6)
    np.testing.assert_allclose(images["rgb"][0, 0], [1.0, 0.0, 0.0], atol=1e-6)


def test_an_opened_run_finds_its_data_in_its_frame(run: Run) -> None:
    opened = neuralfw.open(run.folder.root)
    assert opened.data("images").frame == run.frame
    assert opened.data("images") is opened.data("images")
    with pytest.raises(UserError, match="no data 'image'; closest: images"):
        opened.data("image")
    before = json.loads((run.folder.eval / "views.json").read_text())
    assert opened.eval("views") == before


def test_the_command_line_gives_the_figures(run: Run) -> None:
    result = CliRunner().invoke(app, ["eval", str(run.folder.root), "--protocol", "views"])
    assert result.exit_code == 0
    assert "4 views" in result.output and "psnr_mask" in result.output and "dB" in result.output


def test_it_can_be_left_out_and_says_what_is_missing(recipe: Write, ball_folder: Path, tmp_path: Path) -> None:
    run = neuralfw.train(recipe("[evaluate]\nviews = false\n"), out=tmp_path / "run", device="cpu")
    assert not run.folder.eval.exists()
    (ball_folder / "transforms_test.json").unlink()
    run = neuralfw.train(recipe(), out=tmp_path / "again", device="cpu")
    assert not run.folder.eval.exists()
    with pytest.raises(UserError, match="no photographs held out"):
        run.eval("views")
