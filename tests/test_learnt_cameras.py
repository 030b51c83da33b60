"""Learnt cameras against the true ones: what `eval` says of a run that began with disturbed cameras."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from neuralfw.cli import app
from neuralfw.data.images import Images
from neuralfw.geometry import Frame
from neuralfw.learnt_cameras import cameras_of
from neuralfw.photos.convert import Noise, convert
from neuralfw.photos.idr import NOISY
from neuralfw.photos.masks import mask_source
from neuralfw.photos.sniff import read_capture
from neuralfw.run import Run

MIC = Path(__file__).resolve().parents[1] / "recipes" / "data" / "mic"
TINY = [
    "data.images.max_size=40", "fields.sdf.width=16", "fields.sdf.layers=2", "fields.sdf.skip=[]",
    "fields.color.width=16", "stages.fit.steps=1", "stages.fit.passes.pixels.rays=16", "data.space.batch=16",
    "export.mesher.resolution=12", "export.colors=false", "evaluate.views=false", "log.tensorboard=false",
    "log.report=false",
]  # fmt: skip


def run(folder: Path, *settings: str) -> dict[str, float]:
    words = [word for setting in (*TINY, *settings) for word in ("--set", setting)]
    result = CliRunner().invoke(app, ["run", "idr_trained_cameras", *words, "--out", str(folder), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(app, ["eval", str(folder), "--protocol", "cameras", "--json"])
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts == json.loads((folder / "eval" / "cameras.json").read_text())
    return {name: figure["value"] for name, figure in facts["metrics"].items()}


def test_noise_that_the_field_draws(tmp_path: Path) -> None:
    found = run(tmp_path / "run", "fields.cameras.rotation_noise=2.0", "fields.cameras.center_noise=0.02")
    assert 1.0 < found["rotation_before"] < 2.2 and found["rotation_mean"] == pytest.approx(
        found["rotation_before"], rel=0.1
    )
    assert found["rotation_removed"] == pytest.approx(1.0 - found["rotation_mean"] / found["rotation_before"])
    assert found["center_before"] / 4.03 < 0.022  # of cameras 4.03 from what they look at


def test_rough_cameras_that_the_photographs_bring(tmp_path: Path) -> None:
    capture = read_capture(MIC)
    convert(capture, tmp_path / "scan", mask_source(capture, None), noise=Noise(degrees=0.5, distance=0.01))
    data = ["data.images.type=idr", f"data.images.path={tmp_path / 'scan'}", f"data.images.cameras={NOISY}"]
    still = ["fields.cameras.rotation_noise=0", "fields.cameras.center_noise=0", "frame.fit=file"]
    found = run(tmp_path / "run", *data, *still)
    assert 0.2 < found["rotation_before"] < 0.6 and 0.0 < found["center_before"] / 4.03 < 0.011
    assert Run(tmp_path / "run").protocols == ["cameras"]


def test_photographs_held_out_are_seen_from_where_the_scene_went(tmp_path: Path) -> None:
    """Learnt cameras that all moved together, by a similarity, take those of the other photographs with them."""
    run(tmp_path / "run", "fields.cameras.rotation_noise=0", "fields.cameras.center_noise=0")
    opened = Run(tmp_path / "run")
    data, field = opened.data("images"), opened.scene.fields["cameras"]
    assert isinstance(data, Images)
    turn, _ = np.linalg.qr(np.array([[1.0, 0.2, 0.0], [-0.2, 1.0, 0.1], [0.1, 0.0, 1.0]]))
    there = Frame(center=np.array([0.1, -0.2, 0.3]), scale=1.3, rotation=turn * np.sign(np.linalg.det(turn)))
    moved = [camera.in_training(there).world_to_camera for camera in data.cameras]
    field.start.copy_(torch.from_numpy(np.stack(moved)))
    field.turns.data.zero_()
    field.orbits.data.zero_()
    for set_name in ("train", "test"):
        found = cameras_of(opened, "images", set_name)
        assert [*found] == data.members(set_name)
        for i, camera in found.items():
            np.testing.assert_allclose(camera.world_to_camera, moved[i], atol=2e-5)
            assert (camera.width, camera.fx) == (data.cameras[i].width, data.cameras[i].fx)
