"""A level-set update as a plugin would write it: the surface flows, the field follows, another field learns beside it.

E = ½ mean (|v| − R)² over the vertices of a sphere of radius r has the flow V = (R − r) n, so that each step takes r to
r + Δt (R − r).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from neuralfw.errors import UserError
from neuralfw.hooks import hook
from neuralfw.run import Run
from neuralfw.session import train

from .conftest import Write, assert_same_run, killed_and_resumed, metrics, state

FIELDS = """
[data.items]
type = "items"
[fields.sdf]
type = "ball"
radius = 0.4
[fields.shade]
type = "shade"
"""
LEVEL_SET = """
[[stages]]
name = "evolve"
steps = 6
update = { type = "toy/level_set", field = "sdf", dt = 0.25, inner_steps = 40 }
train = { sdf = { lr = 3e-3 }, shade = { lr = 0.05 } }
passes = { surface = { renderer = "toy/surface" }, skin = { data = "items" }, colors = { data = "items", renderer = "shade", repeat = 2, detach = ["sdf"] } }
losses = [{ type = "radius", on = "surface", radius = 0.8 }, { type = "eikonal", on = "skin", weight = 0.01 }, { type = "shade", on = "colors" }]
"""


def test_the_surface_flows_as_the_analytic_solution(recipe: Write, tmp_path: Path) -> None:
    radii: list[float] = []

    class Watch:
        @hook
        def neuralfw_step_end(self, trainer: Any, ctx: Any) -> None:
            radii.append(ctx.scene.fields["sdf"].radius.item())
            assert ctx.scene.renderers["toy/surface"].extractions == len(radii) + 1  # once a step, and in the check

    train(recipe(FIELDS + LEVEL_SET), out=tmp_path / "run", watchers=[Watch()])
    assert radii == pytest.approx([0.8 - 0.4 * 0.75**k for k in range(1, 7)], abs=0.012)


def test_the_other_field_takes_the_gradient_steps_it_would_take_alone(recipe: Write, tmp_path: Path) -> None:
    alone = """
[[stages]]
name = "evolve"
steps = 6
train = { shade = { lr = 0.05 } }
passes = { colors = { data = "items", renderer = "shade", repeat = 2 } }
losses = [{ type = "shade", on = "colors" }]
"""
    with_flow = state(train(recipe(FIELDS + LEVEL_SET), out=tmp_path / "flow"))[0]
    without = state(train(recipe(FIELDS + alone), out=tmp_path / "alone"))[0]
    shared = {name for name in without if "shade" in name}
    assert len(shared) == 4
    assert {n: with_flow[n] for n in shared} == {n: without[n] for n in shared}


def test_a_network_follows_the_flow(recipe: Write, tmp_path: Path) -> None:
    network = FIELDS.replace('"ball"\nradius = 0.4', '"mlp_sdf"\nwidth = 32\nlayers = 2\nradius = 0.4')
    run = train(recipe(network + LEVEL_SET), out=tmp_path / "run")
    assert metrics(run)[-1]["loss/radius"] < 0.25 * metrics(run)[0]["loss/radius"]
    vertices = Run(run).mesh(resolution=16).vertices
    assert abs((vertices**2).sum(axis=1) ** 0.5 - (0.8 - 0.4 * 0.75**6)).max() < 0.08


def test_resume_of_a_level_set_stage_is_exact(recipe: Write, tmp_path: Path) -> None:
    path = recipe(FIELDS + LEVEL_SET)
    assert_same_run(train(path, out=tmp_path / "whole"), killed_and_resumed(path, tmp_path / "run", 5))


def test_under_the_gradient_update_the_field_is_idle(recipe: Write, tmp_path: Path) -> None:
    plain = "\n".join(
        line for line in LEVEL_SET.splitlines() if not line.startswith("update") and "eikonal" not in line
    )
    plain += '\nlosses = [{ type = "radius", on = "surface" }, { type = "shade", on = "colors" }]\n'
    with pytest.raises(UserError, match="stage 'evolve' trains sdf, but no loss of it depends on sdf"):
        train(recipe(FIELDS + plain), out=tmp_path / "run")


def test_it_refuses_to_evolve_what_the_stage_does_not_train(recipe: Write, tmp_path: Path) -> None:
    text = LEVEL_SET.replace("sdf = { lr = 3e-3 }, ", "")
    with pytest.raises(UserError, match="level_set evolves sdf, which stage 'evolve' does not train"):
        train(recipe(FIELDS + text), out=tmp_path / "run")
