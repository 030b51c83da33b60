"""Pictures and meshes in TensorBoard while a run trains, on toy runs."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import TENSORS, EventAccumulator

import neuralfw
from neuralfw.run import Run

from .conftest import COLOR, covered
from .test_render import PAINT, camera

Write = Callable[..., Path]
SETTINGS = ["evaluate.views=false", "log.tensorboard=true", "log.pictures=2", "stages.fit.steps=5"]


def events(run: Run) -> EventAccumulator:
    found = EventAccumulator(str(run.folder.root / "tensorboard"), size_guidance={"images": 0, TENSORS: 0})
    found.Reload()
    return found


def test_photographs_stand_beside_renderings(recipe: Write, tmp_path: Path) -> None:
    told = events(neuralfw.train(recipe(), SETTINGS, out=tmp_path / "run", device="cpu"))
    assert sorted(told.Tags()["images"]) == ["view/0", "view/1", "view/2"]
    assert [event.step for event in told.Images("view/0")] == [2, 4, 5]
    picture = np.asarray(Image.open(io.BytesIO(told.Images("view/0")[-1].encoded_image_string)))
    photograph, render, normals = np.split(picture.astype(float), 3, axis=1)
    inside = covered(camera(6))
    np.testing.assert_allclose(photograph[inside], np.broadcast_to(COLOR, (inside.sum(), 3)), atol=1)
    np.testing.assert_allclose(render[inside], np.broadcast_to(PAINT, (inside.sum(), 3)), atol=1)
    np.testing.assert_allclose(normals[20, 20], [127, 127, 255], atol=8)
    assert [event.step for event in told.Tensors("mesh_VERTEX")] == [2, 4, 5]


def test_a_scene_that_moves_has_a_mesh_for_each_time(recipe: Write, tmp_path: Path) -> None:
    path = recipe()
    path.write_text(path.read_text().replace('type   = "ball"', 'type   = "growing_ball"'))
    told = events(neuralfw.train(path, SETTINGS, out=tmp_path / "run", device="cpu"))
    meshes = sorted(tag for tag in told.Tags()["tensors"] if tag.endswith("_VERTEX"))
    assert meshes == ["mesh/t0.500_VERTEX", "mesh/t1.000_VERTEX"]  # at time 0 there is none
