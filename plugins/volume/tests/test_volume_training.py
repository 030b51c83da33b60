"""Recipes of photographs take the volume renderers by one line, with masks and without, and learn a sphere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from neuralfw.geometry.camera import Camera
from neuralfw.run import Run
from neuralfw.session import check, train
from neuralfw.testing import Sphere, check_resume

CENTER, SIZE, VIEWS = np.array([3.0, -1.0, 2.0]), 48, 12
BALL = Sphere(1.5, (3.0, -1.0, 2.0))
SMALL = {
    "fields.sdf.width": 32,
    "fields.sdf.layers": 2,
    "fields.sdf.skip": "[]",
    "fields.sdf.features": 4,
    "fields.color.width": 16,
    "fields.color.layers": 2,
    "data.space.batch": 64,
    "stages.fit.passes.pixels.rays": 128,
    "stages.fit.losses.mask_bce.weight": 0.5,
    "export.mesher.resolution": 16,
    "log.tensorboard": "false",
    "checkpoint.every": 0,
    "evaluate.views": "false",
}


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuralfw.run.save_picture", lambda *_: None)


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs with masks, in Blender's layout."""
    return BALL.write(tmp_path_factory.mktemp("sphere") / "photographs", views=VIEWS, size=SIZE)


def overrides(photographs: Path, steps: int, **more: object) -> list[str]:
    given = {"data.images.path": photographs, **SMALL, "stages.fit.steps": steps, **more}
    return [f"{key}={value}" for key, value in given.items()]


@pytest.mark.parametrize(("kind", "parameter"), [("neus", "log_sharpness"), ("volsdf", "log_beta")])
def test_one_line_takes_it_and_its_parameter_is_trained(
    photographs: Path, tmp_path: Path, kind: str, parameter: str
) -> None:
    given = overrides(photographs, 3, **{"renderers.main.type": kind})
    assert [str(note) for note in check("idr", given).notes if "dropped" in str(note)]
    said: list[str] = []
    run = Run(train("idr", given, out=tmp_path / "run", device="cpu", say=said.append))
    start = Run(train("idr", overrides(photographs, 0, **{"renderers.main.type": kind}), out=tmp_path / "start"))
    name = f"renderers.main.{parameter}"
    assert run.scene.state_dict()[name] != start.scene.state_dict()[name]
    assert not [text for text in said if "no stage trains" in text]
    place, up = CENTER + np.array([0.0, -5.0, 0.0]), np.array([0.0, 0.0, 1.0])
    seen = run.render(Camera.look_at(place, CENTER, up, focal=20.0, width=16, height=16))
    assert {"rgb", "alpha", "depth", "normal"} <= seen.keys() and np.isfinite(seen["rgb"]).all()


def test_a_stage_that_does_not_name_the_renderer_leaves_its_parameter(photographs: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "fixed.toml"
    recipe.write_text(
        'extends = "idr.toml"\nname = "fixed"\n[renderers.main]\ntype = "neus"\nstart = 30.0\n'
        '[[stages]]\nname = "fit"\ntrain = { "renderers.main" = { remove = true } }\n'
    )
    said: list[str] = []
    run = Run(train(recipe, overrides(photographs, 2), out=tmp_path / "run", device="cpu", say=said.append))
    assert float(run.scene.renderers["main"].sharpness) == pytest.approx(30.0)
    assert any("no stage trains renderers.main" in text for text in said)


def test_photographs_without_masks(photographs: Path, tmp_path: Path) -> None:
    more = {
        "data.images.masks": "ignore",
        "renderers.main": '{ type = "neus", background = "learned", samples = 8 }',
        "stages.fit.losses.mask_bce.remove": "true",
    }
    given = [text for text in overrides(photographs, 3, **more) if "mask_bce.weight" not in text]
    start, run = (
        Run(train("idr", [*given, f"stages.fit.steps={steps}"], out=tmp_path / str(steps), device="cpu")).scene
        for steps in (0, 3)
    )
    names = [name for name, _ in run.named_parameters() if name.startswith("renderers.main.background")]
    assert names and all(not torch.equal(run.state_dict()[n], start.state_dict()[n]) for n in names)


def test_a_resumed_run_goes_on_bit_for_bit(photographs: Path, tmp_path: Path) -> None:
    given = overrides(photographs, 8, **{"renderers.main": '{ type = "neus", refresh = 3, resolution = 16 }'})
    check_resume("idr", given, tmp_path, after=5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["neus", "volsdf"])
def test_the_surface_of_the_sphere(photographs: Path, tmp_path: Path, kind: str) -> None:
    more = {"export.mesher.resolution": 48, "renderers.main.type": kind, "stages.fit.passes.pixels.rays": 256}
    run = Run(train("idr", overrides(photographs, 400, **more), out=tmp_path / "run", device="cpu"))
    deviation = np.abs(np.linalg.norm(run.mesh().vertices - CENTER, axis=1) - BALL.radius)
    assert deviation.mean() < 0.01 * 2.0 * BALL.radius * 3.0**0.5
