"""Samples along normals and before a sensor: what is labelled how, in which order, and with what randomness."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from known_shapes import Build, sphere_points

from neuralfw.components import Data, Draw, Quantities
from neuralfw.errors import UserError
from neuralfw.streams import stream

RECIPE = """
[frame]
fit = "none"

[data.points]
type    = "points"
path    = "{path}"
clean   = false
holdout = {holdout}

[data.samples]
type = "{type}"
{options}

[fields.sdf]
type   = "mlp_sdf"
width  = 8
layers = 1

[[stages]]
steps  = 1
train  = ["sdf"]
passes = {{ samples = {{ data = "samples" }} }}
losses = [{{ type = "sdf_regression", on = "samples" }}]
"""


@pytest.fixture
def sampler(build: Build, write_recipe, sphere_file: Path):
    def make(options: str = "", type: str = "along_normals", holdout: float = 0.0) -> Data:
        text = RECIPE.format(path=sphere_file, type=type, options=options, holdout=holdout)
        text = text if type == "along_normals" else text.replace("sdf_regression", "off_surface")
        return build(write_recipe(text)).data["samples"]

    return make


def draw(data: Data, index: int = 0, set_name: str = "") -> Quantities:
    return data.sample(
        Draw(set=set_name, options=None, index=index, stream=lambda k: stream(0, "test", step=k), scene=None)  # type: ignore[arg-type]
    )


def test_the_scalar_label_is_the_distance_moved_along_the_normal(sampler) -> None:
    batch = draw(sampler("batch = 400"))
    moved = batch["points"].norm(dim=1) - 1.0  # the normal of the unit sphere is the point
    assert torch.allclose(moved, batch["sdf"], atol=1e-6)
    assert batch["sdf"].std() == pytest.approx(0.05, rel=0.15)


def test_the_componentwise_label_is_the_length_of_an_oblique_move(sampler) -> None:
    data = sampler('batch = 30000\nmode = "componentwise"\nper_point = 100')
    batch = draw(data)
    source = torch.from_numpy(sphere_points(300)[:, :3]).float().repeat_interleave(100, dim=0)
    offset = batch["points"] - source
    assert torch.allclose(offset.norm(dim=1), batch["sdf"].abs(), atol=1e-6)
    assert torch.equal((offset * source).sum(dim=1) > 0, batch["sdf"] > 0)
    true = batch["points"].norm(dim=1) - 1.0
    assert (batch["sdf"] - true).abs().mean() > 0.2 * true.abs().mean()  # the labels are wrong, as the release has them


def test_an_epoch_moves_every_point_as_often_as_asked(sampler) -> None:
    data = sampler("batch = 128\nper_point = 3\nstd = 1e-9")
    assert data.batches("", None) == 8
    points = torch.cat([draw(data, k)["points"] for k in range(8)])
    source = torch.from_numpy(sphere_points(300)[:, :3]).float()
    nearest = torch.cdist(points, source).argmin(dim=1)
    assert nearest.bincount(minlength=300).tolist() == [3] * 300


@pytest.mark.parametrize("fresh", [True, False])
def test_offsets_are_fresh_in_each_epoch_or_always_the_same(sampler, fresh: bool) -> None:
    data = sampler(f"batch = 100000\nper_point = 2\nfresh = {str(fresh).lower()}")
    first, again, later = draw(data, 0), draw(data, 0), draw(data, 1)
    assert torch.equal(first["sdf"], again["sdf"])
    assert torch.equal(first["sdf"], later["sdf"]) != fresh


def test_held_out_points_are_moved_only_for_validation(sampler) -> None:
    data = sampler("batch = 100000\nper_point = 1\nstd = 1e-9", holdout=0.2)
    train, held = draw(data)["points"], draw(data, set_name="val")["points"]
    assert (len(train), len(held)) == (240, 60)
    assert torch.cdist(train, held).min() > 1e-6
    assert data.holds("val")


def test_validation_without_held_out_points_is_refused(sampler) -> None:
    data = sampler()
    assert not data.holds("val")
    with pytest.raises(UserError, match="set its holdout above 0"):
        draw(data, set_name="val")


def test_a_cloud_without_normals_is_refused(build: Build, write_recipe, sphere_file: Path) -> None:
    text = RECIPE.format(path=sphere_file, type="along_normals", options="", holdout=0.0)
    with pytest.raises(UserError, match='normals = "none"'):
        build(write_recipe(text), "data.points.normals=none")


def test_free_space_lies_on_the_rays_to_the_sensor(sampler) -> None:
    data = sampler("batch = 500\nsensor = [0.0, 0.0, 4.0]\nreach = 0.5", type="free_space")
    points = draw(data)["points"].double().numpy()
    source, sensor = sphere_points(300)[:, :3], np.array([0.0, 0.0, 4.0])
    ray = (sensor - source) / np.linalg.norm(sensor - source, axis=1, keepdims=True)
    along = np.einsum("nki,ki->nk", points[:, None] - source, ray)
    beside = np.linalg.norm(points[:, None] - source - along[..., None] * ray, axis=2)
    beside[(along < -1e-6) | (along > 0.5 + 1e-6)] = np.inf
    assert beside.min(axis=1).max() < 1e-5


def test_free_space_without_a_sensor_is_refused(sampler) -> None:
    with pytest.raises(UserError, match="does not say where its points were seen from"):
        sampler(type="free_space")
