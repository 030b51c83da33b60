"""Gaussians in whole runs: killed ones go on exactly while their number changes, and they are laid on surfaces."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from neuralfw.hooks import hook
from neuralfw.session import resume, train
from neuralfw.training.checkpoint import Store
from neuralfw_gaussians.rotations import axes

HEAD = """
name = "tiny"
checkpoint = {{ every = 4, keep = 2 }}
log = {{ every = 1, tensorboard = false, report = false }}
frame = {{ fit = "cameras" }}
[data.images]
type = "images"
path = "photographs"
[fields.gaussians]
type = "gaussians"
init = "random"
count = {count}
sh_every = 5
[renderers.splat]
type = "splat"
"""

VIEWS = """
passes = { views = { data = "images.train", renderer = "splat" } }
losses = [{ type = "l1", on = "views" }]
"""


class Killed(BaseException):
    """Ends a run as SIGKILL would."""


class Watch:
    """Keeps the context of the last step, and kills the run after one."""

    def __init__(self, last: int | None = None) -> None:
        self.last = last

    @hook
    def neuralfw_step_end(self, trainer: Any, ctx: Any) -> None:
        self.ctx = ctx
        if trainer.clock.run == self.last:
            raise Killed


Write = Callable[..., Path]


def photograph(folder: Path, count: int = 5, edge: int = 24) -> None:
    """Write a Blender scene: a disk in a gradient of colours, seen from cameras around it; the last one is held out."""
    y, x = np.mgrid[:edge, :edge] / (edge - 1.0)
    alpha = np.hypot(x - 0.5, y - 0.5) < 0.35
    pixels = (255.0 * np.stack([x, y, 1.0 - x, alpha], axis=-1)).astype(np.uint8)
    turns = Rotation.from_euler("y", 72.0 * np.arange(count)[:, None], degrees=True).as_matrix()
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3], poses[:, :3, 3] = turns, turns @ [0.0, 0.0, 4.0]
    for name, members in {"train": range(count - 1), "test": [count - 1]}.items():
        (folder / name).mkdir(parents=True)
        frames = [{"file_path": f"./{name}/r_{i}", "transform_matrix": poses[i].tolist()} for i in members]
        (folder / f"transforms_{name}.json").write_text(json.dumps({"camera_angle_x": 0.7, "frames": frames}))
        for i in members:
            Image.fromarray(pixels).save(folder / name / f"r_{i}.png")


@pytest.fixture
def recipe(tmp_path: Path) -> Write:
    photograph(tmp_path / "photographs")

    def write(text: str, count: int = 200) -> Path:
        path = tmp_path / "tiny.toml"
        path.write_text(HEAD.format(count=count) + text)
        return path

    return write


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save the time that judging the run would take."""
    monkeypatch.setattr("neuralfw.run.save_picture", lambda *args, **kwargs: None)


def stopped(path: Path, out: Path, step: int) -> Any:
    """Train up to some step and return its context."""
    watch = Watch(step)
    with pytest.raises(Killed):
        train(path, out=out, watchers=[watch])
    return watch.ctx


def tensors(run: Path) -> dict[str, bytes]:
    checkpoint, _ = Store(run / "checkpoints").load("latest")
    return {f"{g}/{n}": t.numpy().tobytes() for g, group in checkpoint.tensors.items() for n, t in group.items()}


CALLBACKS = {
    "densify": '{ type = "densify", begin = 0, interval = 3, gradient = 1e-5, reset = 8 }',
    "mcmc": '{ type = "mcmc", begin = 0, interval = 3, min_opacity = 0.1, growth = 0.2 }',
}


@pytest.mark.parametrize("callback", CALLBACKS)
def test_a_killed_run_goes_on_exactly(callback: str, recipe: Write, tmp_path: Path) -> None:
    stage = f'[[stages]]\nname = "views"\nsteps = 12\ntrain = ["gaussians"]\ncallbacks = [{CALLBACKS[callback]}]'
    path = recipe(stage + VIEWS)
    watch = Watch()
    whole = train(path, out=tmp_path / "whole", watchers=[watch])
    assert len(watch.ctx.scene.fields["gaussians"].means) > 210
    stopped(path, tmp_path / "broken", 6)
    with pytest.raises(Killed):
        resume(tmp_path / "broken", watchers=[Watch(11)])
    assert tensors(resume(tmp_path / "broken")) == tensors(whole)


def test_running_means_have_the_rows_of_their_parameters(recipe: Write, tmp_path: Path) -> None:
    densify = '{ type = "densify", begin = 0, interval = 3, gradient = 1e-6, max_count = 260, min_opacity = 0.0 }'
    stage = f'[[stages]]\nname = "views"\nsteps = 9\ntrain = ["gaussians"]\ncallbacks = [{densify}]'
    ctx = stopped(recipe(stage + VIEWS), tmp_path / "run", 3)
    assert len(ctx.scene.fields["gaussians"].means) == 260
    kept = ctx.optimisers.state()
    for name, parameter in ctx.scene.fields["gaussians"].named_parameters():
        assert kept[f"fields.gaussians.{name}/exp_avg"].shape == parameter.shape
    fresh = (kept["fields.gaussians.means/exp_avg_sq"] == 0).all(dim=1)
    assert bool(fresh[-60:].all()), "copies come last, with fresh running means"
    assert not bool(fresh[:140].all())


def test_noise_has_the_rate_of_the_means(recipe: Write, tmp_path: Path) -> None:
    noise = '[[stages]]\nname = "views"\nsteps = 9\ntrain = ["gaussians"]\ncallbacks = [{ type = "mcmc" }]'
    ctx = stopped(recipe(noise + VIEWS), tmp_path / "run", 2)
    assert ctx.optimisers.learning_rate("fields.gaussians.means") == pytest.approx(1.6e-4 * 0.01 ** (1 / 9))
    assert ctx.optimisers.learning_rate("fields.gaussians.opacity_logits") == 0.05
    assert ctx.optimisers.learning_rate("fields.gaussians.other") == 0.0


SPHERE = """
[fields.sdf]
type = "mlp_sdf"
width = 16
layers = 2
activation = "softplus"
beta = 100.0
radius = 0.5
"""


def test_gaussians_are_laid_on_the_surface_of_an_sdf(recipe: Write, tmp_path: Path) -> None:
    mesher = '{ type = "marching_cubes", resolution = 64, method = "dense" }'
    stage = f"""
[[stages]]
name = "views"
steps = 9
train = {{ "gaussians.sh_dc" = {{ lr = 1e-2 }} }}
callbacks = [{{ type = "on_surface", at = "start", mesher = {mesher} }}]
"""
    ctx = stopped(recipe(SPHERE + stage + VIEWS, count=500), tmp_path / "run", 1)
    field, sdf = ctx.scene.fields["gaussians"], ctx.scene.fields["sdf"]
    points = field.means.detach()
    given = sdf(points, want=frozenset({"sdf", "sdf_gradient"}))
    assert float(given["sdf"].abs().max()) < 0.05
    normals = torch.nn.functional.normalize(given["sdf_gradient"].detach(), dim=1)
    thinnest = axes(torch.nn.functional.normalize(field.quaternions.detach(), dim=1))[:, :, 2]
    assert float((thinnest * normals).sum(dim=1).abs().mean()) > 0.97
    scales = field.scales.detach()
    torch.testing.assert_close(scales[:, 2], 0.1 * scales[:, 0])
    assert len(points) == 500
    assert len(torch.unique(points, dim=0)) == 500
