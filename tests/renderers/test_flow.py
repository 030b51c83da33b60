"""`transport` and `advect` in a scene of networks: against finite differences, and there and back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from neuralfw.operators import level_set_residual
from neuralfw.recipe.faults import RecipeError
from neuralfw.scene import Scene
from neuralfw.session import check

RECIPE = """
name = "moving"

[data.space]
type  = "uniform"
size  = 1.0
batch = 8
time  = true

[fields.sdf]
type   = "mlp_sdf"
width  = 24
layers = 3
beta   = 10.0
time   = "raw"

[fields.velocity]
type   = "mlp_velocity"
width  = 24
layers = 3
start  = "plain"
time   = "raw"

[renderers.there]
type = "advect"

[renderers.one]
type  = "advect"
along = "one"

[renderers.end]
type  = "advect"
along = "end"

[renderers.back]
type  = "advect"
start = 1.0
end   = 0.0

[[stages]]
name   = "fit"
steps  = 1
train  = ["sdf", "velocity"]
passes = { volume = { data = "space", renderer = "transport" } }
losses = [{ type = "eikonal", on = "volume" }]
"""
EVERYTHING = frozenset({
    *("sdf", "sdf_gradient", "sdf_time_derivative", "velocity", "velocity_jacobian", "velocity_laplacian"),
    *("normal", "divergence", "normal_stretch", "material_derivative"),
})  # fmt: skip


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    path = tmp_path / "moving.toml"
    path.write_text(RECIPE, encoding="utf-8")
    checked = check(path)
    return Scene(checked.recipe, checked.registry, torch.device("cpu")).build().double()


def batch(count=30):
    random = torch.Generator().manual_seed(0)
    x = 2.0 * torch.rand(count, 3, generator=random, dtype=torch.float64) - 1.0
    return {"points": x, "time": torch.linspace(0.05, 0.95, count, dtype=torch.float64)}


def test_transport_against_finite_differences(scene):
    renderer, view, at, h = scene.renderers["transport"], scene.view(), batch(), 1e-5
    found = renderer(view, at, EVERYTHING)
    assert found.keys() >= EVERYTHING
    velocity = found["velocity"]

    def sdf(step):
        return view.evaluate({"points": at["points"] + step * velocity, "time": at["time"] + step}, frozenset({"sdf"}))

    rate = (sdf(h)["sdf"] - sdf(-h)["sdf"]) / (2 * h)
    torch.testing.assert_close(found["material_derivative"], rate, rtol=1e-6, atol=1e-8)
    n = found["normal"]
    torch.testing.assert_close(n.norm(dim=1), torch.ones(30, dtype=torch.float64))

    def speed(step):
        moved = {"points": at["points"] + step * n, "time": at["time"]}
        return view.evaluate(moved, frozenset({"velocity"}))["velocity"]

    along = (((speed(h) - speed(-h)) / (2 * h)) * n).sum(dim=1)
    torch.testing.assert_close(found["normal_stretch"], along, rtol=1e-6, atol=1e-8)
    trace = found["velocity_jacobian"].diagonal(dim1=1, dim2=2).sum(dim=1)
    torch.testing.assert_close(found["divergence"], trace)
    residual = level_set_residual(found["material_derivative"], found["sdf"], found["normal_stretch"])
    assert residual.abs().max() > 1e-3  # networks as drawn do not move with each other


def test_there_and_back_again(scene):
    there, back = scene.renderers["there"], scene.renderers["back"]
    moved = there(scene.view(), batch(), frozenset({"moved"}))["moved"]
    again = back(scene.view(), {"points": moved}, frozenset({"moved"}))["moved"]
    assert (moved - batch()["points"]).abs().max() > 0.01
    assert (again - batch()["points"]).abs().max() < 1e-4


@pytest.mark.parametrize("along", ["all", "one", "end"])
def test_points_of_the_trajectories_with_what_is_said_there(scene, along):
    renderer = scene.renderers["there" if along == "all" else along]
    want = frozenset({"points", "time", "moved", "trajectory", "trajectory_time", "velocity", "divergence"})
    found = renderer(scene.view(), batch(18), want)
    rows = {"all": 9 * 18, "one": 18, "end": 18}[along]
    assert found["points"].shape == (rows, 3) and found["moved"].shape == (18, 3)
    assert found["trajectory"].shape == (9, 18, 3) and found["trajectory_time"].tolist() == [k / 8 for k in range(9)]
    assert (found["trajectory"][0] == batch(18)["points"]).all() and (found["trajectory"][-1] == found["moved"]).all()
    at = {"points": found["points"], "time": found["time"]}
    expected = scene.view().evaluate(at, frozenset({"velocity"}))["velocity"]
    torch.testing.assert_close(found["velocity"], expected)
    if along == "one":  # two rows for each of nine times
        torch.testing.assert_close(found["time"].unique(), torch.linspace(0, 1, 9, dtype=torch.float64))
    elif along == "end":
        assert found["time"].eq(1.0).all()
        torch.testing.assert_close(found["points"], found["moved"])
    else:
        torch.testing.assert_close(found["points"][:18], batch(18)["points"])


def test_a_scene_without_velocity_is_refused(tmp_path):
    path = tmp_path / "still.toml"
    still = RECIPE.replace('"transport"', '"there"').replace('"mlp_velocity"', '"mlp_sdf"').replace('"rest"', '"plain"')
    path.write_text(still, encoding="utf-8")
    with pytest.raises(RecipeError, match="velocity"):
        check(path)
