"""Time stamps: D-NeRF's layout, one camera that moves, and what does not agree, told with exit status 2."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from neuralfw.cli import app
from neuralfw.errors import UserError
from neuralfw.photos.sniff import read_capture

from . import scenes

CAMERAS = scenes.ring(6)
IMAGES = scenes.pictures(CAMERAS)


def moving(folder: Path, times: list[Any], **more: dict[str, Any]) -> Path:
    """Write four training views and two of test, with these times; `more` changes frames of train by index."""
    scenes.write_blender(folder, CAMERAS, IMAGES, test=(1, 4))
    for name, stamps in (("train", times[:4]), ("test", times[4:])):
        file = folder / f"transforms_{name}.json"
        document = json.loads(file.read_text())
        for index, (frame, time) in enumerate(zip(document["frames"], stamps, strict=True)):
            frame |= ({} if time is None else {"time": time}) | (more.get(f"_{index}", {}) if name == "train" else {})
        file.write_text(json.dumps(document))
    return folder


def refused(*arguments: str) -> str:
    """Return what the command line says when it exits with status 2."""
    result = CliRunner().invoke(app, [*arguments])
    assert result.exit_code == 2, result.output
    return " ".join(result.output.replace("│", " ").split())


def test_the_layout_of_d_nerf(tmp_path: Path) -> None:
    folder = moving(tmp_path, [0.0, 0.25, 0.5, 1.0, 0.1, 0.9])
    capture = read_capture(folder)
    assert [view.time for view in capture.views] == [0.0, 0.25, 0.5, 1.0, 0.1, 0.9]
    assert capture.split == {"train": (0, 1, 2, 3), "test": (4, 5)}
    told = CliRunner().invoke(app, ["data", "inspect", str(folder), "--json"])
    assert told.exit_code == 0 and json.loads(told.output)["time_stamps"] == 6


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([0.0, 0.5, None, 1.0, 0.0, 1.0], "1 of 6 photographs have no time stamp, such as train/r_2.png"),
        ([None, None, None, None, 0.0, 1.0], "4 of 6 photographs have no time stamp, such as train/r_0.png"),
        ([0.0, 0.5, 1.0, 24, 0.0, 1.0], "frame 3: time = 24 must be a number from 0 to 1"),
        ([0.0, "first", 1.0, 1.0, 0.0, 1.0], "frame 1: time = 'first' must be a number from 0 to 1"),
        ([0.0, True, 1.0, 1.0, 0.0, 1.0], "frame 1: time = True must be a number from 0 to 1"),
        ([0.0, float("nan"), 1.0, 1.0, 0.0, 1.0], "frame 1: time = nan must be a number from 0 to 1"),
    ],
)
def test_stamps_that_are_missing_or_none(tmp_path: Path, times: list[Any], message: str) -> None:
    folder = moving(tmp_path, times)
    with pytest.raises(UserError, match=message):
        read_capture(folder)
    assert message in refused("data", "inspect", str(folder))


def test_two_photographs_of_one_moment_from_one_place(tmp_path: Path) -> None:
    capture = read_capture(moving(tmp_path / "a", [0.5] * 6))
    pose = np.linalg.inv(capture.views[0].camera.world_to_camera) @ np.diag([1.0, -1.0, -1.0, 1.0])
    same = {"transform_matrix": pose.tolist()}
    with pytest.raises(UserError, match=r"train/r_0.png and train/r_2.png have one camera and one time stamp, 0.5"):
        read_capture(moving(tmp_path / "b", [0.5] * 6, _2=same))
    assert len(read_capture(moving(tmp_path / "c", [0.5, 0.5, 0.75, 0.5, 0.5, 0.5], _2=same)).views) == 6


def test_a_moment_without_the_object(tmp_path: Path) -> None:
    images = [*IMAGES]
    images[2] = np.zeros_like(images[2])
    scenes.write_blender(tmp_path, CAMERAS, images)
    file = tmp_path / "transforms_train.json"
    document = json.loads(file.read_text())
    for frame, time in zip(document["frames"], (0.0, 0.0, 0.5, 0.5, 1.0, 1.0), strict=True):
        frame["time"] = time
    file.write_text(json.dumps(document))
    assert "1 of 6 masks show no object: train/r_2.png" in refused("data", "inspect", str(tmp_path))
    told = refused("run", "nie", "--set", f"data.images.path={tmp_path}", "--out", str(tmp_path / "run"))
    assert "the mask of train/r_2.png at time 0.5 is all black" in told


def test_photographs_of_several_sizes(tmp_path: Path) -> None:
    cameras = [camera.resized(24, 18) if i % 2 else camera.resized(12, 9) for i, camera in enumerate(CAMERAS)]
    scenes.write_transforms(tmp_path, cameras, scenes.pictures(cameras))
    file = tmp_path / "transforms.json"
    document = json.loads(file.read_text())
    for frame, c in zip(document["frames"], cameras, strict=True):
        frame |= {"time": 0.5, "w": c.width, "h": c.height, "fl_x": c.fx, "fl_y": c.fy, "cx": c.cx, "cy": c.cy}
    file.write_text(json.dumps(document))
    images = ["--set", "data.images.type=transforms", "--set", f"data.images.path={tmp_path}"]
    told = refused("run", "nie", *images, "--out", str(tmp_path / "run"))
    assert "needs photographs of one size, but there are 12 x 9, 24 x 18" in told
