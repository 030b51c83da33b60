"""Photographs of a ball, made in closed form, and a recipe of toy components that learns nothing from them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neuralfw.geometry import Camera

CENTER, RADIUS = np.array([10.0, -20.0, 30.0]), 2.0
COLOR = np.array([204, 51, 102])
SIZE, FOCAL = 40, 50.0

RECIPE = """
name = "painted"
log = {{ every = 1, tensorboard = false, report = false }}
frame = {{ fit = "file", path = "{frame}" }}
export = {{ mesher = {{ type = "marching_cubes", resolution = 48, method = "dense" }} }}

[data.images]
type = "blender"
path = "{folder}"

[fields.sdf]
type   = "ball"

[renderers.main]
type   = "painted_ball"

[[stages]]
name   = "fit"
steps  = 1
train  = {{ "renderers.main" = {{ type = "adam", lr = 0.0 }} }}
passes = {{ views = {{ data = "images", renderer = "main" }} }}
losses = [{{ type = "l1", on = "views" }}]
"""


@pytest.fixture(autouse=True)
def painter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the toy plugin found, in this test alone; and save the time that pictures of its meshes would take."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "plugin"))
    monkeypatch.setattr("neuralfw.run.save_picture", lambda *args, **kwargs: None)


def camera(k: int) -> Camera:
    angle = 0.9 * k
    eye = CENTER + 6.0 * np.array([np.sin(angle), 0.3, np.cos(angle)])
    return Camera.look_at(eye, CENTER, [0.0, 1.0, 0.0], focal=FOCAL, width=SIZE, height=SIZE)


def covered(eye: Camera) -> np.ndarray:
    """Where the ball is seen."""
    origin, rays = eye.rays()
    along = rays @ (CENTER - origin)
    return ((CENTER - origin) ** 2).sum() - along**2 < RADIUS**2


@pytest.fixture
def ball_folder(tmp_path: Path) -> Path:
    """A folder in Blender's layout: six photographs to train on and four held out."""
    folder = tmp_path / "ball"
    for name, members in (("train", range(6)), ("test", range(6, 10))):
        (folder / name).mkdir(parents=True)
        frames = []
        for k in members:
            eye = camera(k)
            pose = np.linalg.inv(eye.world_to_camera) @ np.diag([1.0, -1.0, -1.0, 1.0])
            frames.append({"file_path": f"./{name}/r_{k}", "transform_matrix": pose.tolist()})
            pixels = np.zeros((SIZE, SIZE, 4), np.uint8)
            pixels[covered(eye)] = [*COLOR, 255]
            Image.fromarray(pixels).save(folder / name / f"r_{k}.png")
        document = {"fl_x": FOCAL, "w": SIZE, "h": SIZE, "frames": frames}
        (folder / f"transforms_{name}.json").write_text(json.dumps(document))
    return folder


@pytest.fixture
def recipe(tmp_path: Path, ball_folder: Path) -> Callable[[str], Path]:
    """Write the recipe, in which the ball has radius 1 in the training space; `more` is TOML put after it."""

    def write(more: str = "") -> Path:
        from neuralfw.geometry import Frame

        Frame(center=CENTER, scale=1.0 / RADIUS).save(tmp_path / "frame.json")
        path = tmp_path / "painted.toml"
        path.write_text(RECIPE.format(folder=ball_folder, frame=tmp_path / "frame.json") + more)
        return path

    return write
