"""Surfaces over time: one moment leaves the others alone; where a sequence begins; how smooth it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from torch.testing import assert_close

from neuralfw.photos.rendered import photograph
from neuralfw.run import Run
from neuralfw.session import train
from neuralfw.testing import build_component, check_resume
from neuralfw_n4de.moments import Moments

START = """
name = "start"
checkpoint = {{ every = 0 }}
[data.solid]
type   = "solid"
shape  = "{shape}"
radius = 0.6
batch  = 2048
[fields.sdf]
type       = "mlp_sdf"
width      = 32
layers     = 2
activation = "tanh"
start      = "plain"
encoder    = {{ type = "time_features", form = "transformer", bands = 32 }}
[[stages]]
name   = "sphere_init"
steps  = 300
train  = {{ sdf = {{ lr = 5e-3 }} }}
passes = {{ space = {{ data = "solid" }} }}
losses = [
  {{ type = "sdf_regression", on = "space", power = 2 }},
  {{ type = "sdf_regression", on = "space", relative = true, weight = 0.2, name = "relative" }},
]
"""

EVOLVE = """
name = "evolve"
seed = 0
[frame]
fit  = "sphere"
size = 0.8
[data.images]
type = "blender"
path = "{folder}"
[data.space]
type  = "uniform"
size  = 1.0
batch = 512
time  = true
[fields.sdf]
type    = "mlp_sdf"
width   = 32
layers  = 2
radius  = 0.35
encoder = {{ type = "time_features", bands = 1 }}
[renderers.mesh]
type       = "mesh"
resolution = 20
size       = 1.0
shading    = "head_light"
[[stages]]
name   = "evolve"
steps  = {steps}
time   = "cycle"
update = {{ type = "level_set", field = "sdf", smoothing = 1.0, off_surface = 512, hold = 512 }}
train  = {{ sdf = {{ lr = 4e-3 }} }}
passes = {{ views = {{ data = "images", renderer = "mesh", views = 4 }}, space = {{ data = "space" }} }}
losses = [
  {{ type = "mask_l1", on = "views" }},
  {{ type = "eikonal", on = "space", weight = 0.1 }},
  {{ type = "time_smoothness", on = "space", weight = 0.001 }},
]
"""


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuralfw.run.save_picture", lambda *_: None)


def radii(run: Path, times: tuple[float, ...]) -> list[float]:
    found = [np.asarray(Run(run).mesh(t=t, resolution=24).vertices) for t in times]
    return [float(np.linalg.norm(vertices - vertices.mean(axis=0), axis=1).mean()) for vertices in found]


@pytest.mark.slow
def test_the_field_begins_as_the_sphere_at_all_times(tmp_path: Path) -> None:
    path = tmp_path / "start.toml"
    path.write_text(START.format(shape="sphere"))
    run = train(path, ["stages.sphere_init.steps=1500"], out=tmp_path / "run")
    assert radii(run, (0.0, 0.3, 1.0)) == pytest.approx([0.6] * 3, rel=0.03)


@pytest.mark.parametrize(
    ("shape", "on_it"),
    [
        ("sphere", [0.5, 0.0, 0.0]),
        ("ellipsoid", [0.0, 0.75, 0.0]),
        ("ellipsoid", [0.0, 0.0, 1.0]),
        ("cube", [0.5, 0.3, -0.2]),
    ],
)
def test_solids_are_0_on_their_surface_and_negative_inside(shape: str, on_it: list[float]) -> None:
    solid = build_component("sampler", "solid", {"shape": shape, "radius": 0.5})
    levels = solid._level(torch.tensor([on_it, [0.0, 0.0, 0.0]]))
    assert_close(levels, torch.tensor([0.0, -0.5]))


@pytest.mark.slow
def test_each_moment_gets_its_own_radius(tmp_path: Path) -> None:
    """From the silhouettes of a ball of radius 1 and one of 0.5, seen from the same cameras."""
    files = []
    for index, radius in enumerate((1.0, 0.5)):
        files.append(tmp_path / f"{index}.ply")
        trimesh.creation.icosphere(3, radius).export(files[-1])
    photograph(files, tmp_path / "images", views=8, size=40)
    path = tmp_path / "evolve.toml"
    path.write_text(EVOLVE.format(folder=tmp_path / "images", steps=40))
    first, last = radii(train(path, out=tmp_path / "run"), (0.0, 1.0))
    assert first == pytest.approx(1.0, rel=0.1) and last == pytest.approx(0.55, rel=0.15)


def test_a_run_goes_on_with_what_other_moments_were_asked_for(tmp_path: Path) -> None:
    trimesh.creation.icosphere(2, 1.0).export(tmp_path / "0.ply")
    trimesh.creation.icosphere(2, 0.8).export(tmp_path / "1.ply")
    photograph([tmp_path / "0.ply", tmp_path / "1.ply"], tmp_path / "images", views=6, size=24)
    path = tmp_path / "evolve.toml"
    path.write_text(EVOLVE.format(folder=tmp_path / "images", steps=5))
    check_resume(path, [], tmp_path, after=3)


def test_moments_keep_the_last_targets_of_all_but_the_one_at_hand() -> None:
    moments, random = Moments(4), torch.Generator().manual_seed(0)
    for t, target in ((0.0, 1.0), (0.5, 2.0), (0.0, 3.0)):
        inputs = {"points": torch.full((10, 3), target), "time": torch.full((10,), t)}
        moments.keep(inputs, torch.full((10,), target), random)
    again = Moments(4)
    again.load_state(moments.state())
    for one in (moments, again):
        ((inputs, targets),) = one.others({"points": torch.zeros(1, 3), "time": torch.tensor([0.5])})
        assert_close(targets, torch.full((4,), 3.0))
        assert_close(inputs["points"], torch.full((4, 3), 3.0))


def test_time_smoothness_is_the_mean_rate() -> None:
    outputs = {"sdf_time_derivative": torch.tensor([-1.0, 3.0])}
    assert build_component("loss", "time_smoothness")(outputs, {}) == 2.0
    assert build_component("loss", "time_smoothness", {"power": 2})(outputs, {}) == 5.0
