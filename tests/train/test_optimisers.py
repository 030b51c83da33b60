"""Optimisers against torch's own, their state across stages, sparse rows, and surgery on parameters and running means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from neuralfw.components import Stateful
from neuralfw.errors import UserError
from neuralfw.hooks import hook
from neuralfw.session import train
from neuralfw.streams import stream
from neuralfw.training.optimisers import Diverged
from neuralfw.training.step import StepContext
from neuralfw.training.surgery import Surgery

from .conftest import Write, metrics, state

Context = Callable[[str], StepContext]

FIELDS = """
[data.items]
type = "items"
[fields.sdf]
type = "ball"
[fields.dots]
type = "dots"
"""


def stage(trained: str, extra: str = "", steps: int = 6, name: str = "fit") -> str:
    return f"""
[[stages]]
name = "{name}"
steps = {steps}
train = {{ {trained} }}
passes = {{ samples = {{ data = "items" }} }}
losses = [{{ type = "sdf_regression", on = "samples", power = 2 }}, {{ type = "gather", on = "dots" }}]
{extra}
"""


def reference(kind: type[torch.optim.Optimizer], rates: list[float], **options: Any) -> Tensor:
    """The places of the dots after steps of an optimiser of torch, on the gather loss alone."""
    place = torch.nn.Parameter(torch.randn(6, 3, generator=stream(0, "init/fields.dots")))
    optimiser = kind([place], lr=1.0, **options)
    for rate in rates:
        optimiser.param_groups[0]["lr"] = rate
        (place - 1.0).square().mean().backward()
        optimiser.step()
        optimiser.zero_grad()
    return place.detach()


def places(run: Path) -> Tensor:
    data = state(run)[0]["scene/fields.dots.place"]
    return torch.frombuffer(bytearray(data), dtype=torch.float32).reshape(-1, 3)


@pytest.mark.parametrize(
    ("table", "kind", "options"),
    [
        ("lr = 0.1", torch.optim.Adam, {}),
        (
            "lr = 0.1, betas = [0.5, 0.9], eps = 1e-3, weight_decay = 0.2",
            torch.optim.Adam,
            {"betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.2},
        ),
        ("lr = 0.1, weight_decay = 0.2, decoupled = true", torch.optim.AdamW, {"weight_decay": 0.2}),
    ],
)
def test_adam_is_torch_adam(table: str, kind: Any, options: Any, recipe: Write, tmp_path: Path) -> None:
    run = train(recipe(FIELDS + stage(f'"dots.place" = {{ {table} }}')), out=tmp_path / "run")
    torch.testing.assert_close(places(run), reference(kind, [0.1] * 6, **options))


def test_state_lives_on_across_stages_unless_fresh(recipe: Write, tmp_path: Path) -> None:
    first, rates = stage('"dots.place" = { lr = 0.1 }', name="a", steps=3), [0.1] * 3
    between = stage("sdf = {}", name="between", steps=2)
    on = train(
        recipe(FIELDS + first + between + stage('"dots.place" = { lr = 0.02 }', name="b", steps=3)), out=tmp_path / "on"
    )
    torch.testing.assert_close(places(on), reference(torch.optim.Adam, rates + [0.02] * 3))
    fresh = train(
        recipe(FIELDS + first + stage('"dots.place" = { lr = 0.02 }', "fresh = true", 3, "b")), out=tmp_path / "fresh"
    )
    assert not torch.allclose(places(fresh), places(on))
    assert torch.frombuffer(bytearray(state(fresh)[0]["optimisers/fields.dots.place/step"]), dtype=torch.float32) == 3.0


def test_own_clock_counts_the_updates_of_the_parameter(recipe: Write, tmp_path: Path) -> None:
    rate = '{ type = "steps", start = 0.1, every = 2, factor = 0.5, clock = "own" }'
    text = stage('"dots.place" = { lr = 0.1 }', name="a", steps=1) + stage(
        f'"dots.place" = {{ lr = {rate} }}', name="b", steps=4
    )
    run = train(recipe(FIELDS + text), out=tmp_path / "run")
    assert [line["lr/dots.place"] for line in metrics(run)] == [0.1, 0.1, 0.05, 0.05, 0.025]
    torch.testing.assert_close(places(run), reference(torch.optim.Adam, [0.1, 0.1, 0.05, 0.05, 0.025]))


def test_a_field_brings_its_own_groups(context: Context) -> None:
    ctx = context(FIELDS + stage("dots = {}, sdf = {}"))
    rates = {name: group.config.lr for group in ctx.optimisers._groups for name in group.parameters}
    assert rates["fields.dots.mass"] == 1e-3
    assert rates["fields.dots.place"] == 1e-2


def test_two_entries_share_no_parameter(context: Context) -> None:
    ctx = context(FIELDS + stage('dots = { lr = 0.0 }, "dots.mass" = { lr = 0.0 }'))
    assert ctx.optimisers.entries == {"dots": ["fields.dots.place"], "dots.mass": ["fields.dots.mass"]}
    with pytest.raises(UserError, match="dots of train has no parameter of its own"):
        context(FIELDS + stage('dots = {}, "dots.mass" = {}, "dots.place" = {}'))


def test_sparse_adam_moves_only_rows_that_received_a_gradient(context: Context) -> None:
    ctx = context(FIELDS + stage('"dots.place" = { type = "sparse_adam", lr = 0.1 }', "clip = 1e-3"))
    place = ctx.scene.fields["dots"].place
    before = place.detach().clone()
    for rows in ([1, 4], [4]):
        place.grad = torch.zeros_like(place)
        place.grad[rows] = 3.0
        ctx.optimise()
        assert place.grad is None
    moved = (place.detach() != before).any(dim=1)
    assert moved.tolist() == [False, True, False, False, True, False]
    steps = before - place.detach()
    assert (steps[1] > 0.04).all(), "clipping does not touch sparse gradients"
    assert (steps[4] > steps[1]).all()


def test_optimise_moves_one_field_and_leaves_the_gradients_of_others(context: Context) -> None:
    ctx = context(FIELDS + stage('"sdf.radius" = { lr = 0.1 }, "sdf.center" = { lr = 0.1 }, dots = { lr = 0.1 }'))
    ctx.run(ctx.due)
    ctx.backward(ctx.terms(ctx.due))
    before = {n: p.detach().clone() for n, p in ctx.optimisers.names.items()}
    ctx.optimise(only="sdf")
    moved = {n for n, p in ctx.optimisers.names.items() if not torch.equal(p.detach(), before[n])}
    assert moved == {"fields.sdf.radius", "fields.sdf.center"}
    assert ctx.scene.fields["dots"].place.grad is not None
    assert ctx.scene.fields["sdf"].radius.grad is None


def test_infinite_gradient_of_a_sparse_row_is_caught(context: Context) -> None:
    ctx = context(FIELDS + stage('"dots.place" = { type = "sparse_adam" }'))
    place = ctx.scene.fields["dots"].place
    place.grad = torch.zeros_like(place)
    place.grad[2, 1] = float("inf")
    with pytest.raises(Diverged, match=r"the norm of the gradient of fields\.dots\.place became inf"):
        ctx.optimise()


# -- surgery -------------------------------------------------------------------------------------------------------


class Follower(Stateful):
    def __init__(self) -> None:
        self.told: list[tuple[str, list[int], int]] = []

    def renumber(self, field: str, index: Tensor, count: int) -> None:
        self.told.append((field, index.tolist(), count))


def means(ctx: StepContext) -> Mapping[str, Tensor]:
    return {name: tensor.clone() for name, tensor in ctx.optimisers.state().items()}


def test_surgery_moves_parameters_and_running_means_together(context: Context) -> None:
    ctx = context(FIELDS + stage("dots = {}"))
    follower = Follower()
    surgery = Surgery(ctx.scene, ctx.optimisers, lambda: [follower])
    dots, before = ctx.scene.fields["dots"], means(ctx)
    place, mass = dots.place.detach().clone(), dots.mass.detach().clone()
    surgery.edit("dots", torch.tensor([5, 0, 2]), torch.tensor([0, 0]))
    rows = [5, 0, 2, 0, 0]
    assert torch.equal(dots.place, place[rows])
    assert torch.equal(dots.mass, mass[rows])
    for name, value in means(ctx).items():
        old = before[name]
        if name.endswith("/step"):
            assert value == old
        else:
            assert torch.equal(value[:3], old[[5, 0, 2]])
            assert not value[3:].any()
    assert follower.told == [("dots", [1, -1, 2, -1, -1, 0], 5)]
    assert surgery.edited == {"fields.dots.place", "fields.dots.mass"}
    for _ in range(2):  # training goes on with the new number of elements
        ctx.begin()
        ctx.run(ctx.due)
        ctx.backward(ctx.terms(ctx.due))
        assert dots.place.grad.shape == (5, 3)
        ctx.optimise()


def test_graph_of_an_earlier_step_does_not_hinder_surgery(context: Context) -> None:
    ctx = context(FIELDS + stage("dots = {}"))
    ctx.begin()
    ctx.run(ctx.due)
    before = ctx.terms(ctx.due)
    Surgery(ctx.scene, ctx.optimisers, list).edit("dots", torch.arange(4))
    ctx.begin()
    ctx.run(ctx.due)
    ctx.backward(ctx.terms(ctx.due))
    assert before
    assert ctx.scene.fields["dots"].place.grad.shape == (4, 3)


def test_pruned_elements_keep_their_running_means(recipe: Write, tmp_path: Path) -> None:
    class Prune:
        @hook
        def neuralfw_step_end(self, trainer: Any, ctx: Any) -> None:
            if trainer.clock.run == 3:
                ctx.surgery.edit("dots", torch.tensor([4, 1]))

    run = train(recipe(FIELDS + stage('"dots.place" = { lr = 0.1 }')), out=tmp_path / "run", watchers=[Prune()])
    place = torch.nn.Parameter(torch.randn(6, 3, generator=stream(0, "init/fields.dots")))
    optimiser = torch.optim.Adam([place], lr=0.1)
    for step in range(6):
        if step == 3:
            kept = {k: v if k == "step" else v[[4, 1]] for k, v in optimiser.state[place].items()}
            place = torch.nn.Parameter(place.detach()[[4, 1]])
            optimiser = torch.optim.Adam([place], lr=0.1)
            optimiser.state[place] = kept
        (place - 1.0).square().mean().backward()
        optimiser.step()
        optimiser.zero_grad()
    assert places(run).shape == (2, 3)
    torch.testing.assert_close(places(run), place.detach())


def test_surgery_may_leave_nothing(context: Context) -> None:
    ctx = context(FIELDS + stage("dots = {}"))
    ctx.surgery.edit("dots", torch.empty(0, dtype=torch.long))
    assert ctx.scene.fields["dots"].place.shape == (0, 3)


@pytest.mark.parametrize(
    ("field", "keep", "message"),
    [
        ("dots", [0, 6], "not among its 6 elements"),
        ("dots", [-1], "not among its 6"),
        ("sdf", [0], "not one for each element"),
    ],
)
def test_surgery_refuses_what_is_not_there(field: str, keep: list[int], message: str, context: Context) -> None:
    ctx = context(FIELDS + stage("dots = {}"))
    with pytest.raises(ValueError, match=message):
        ctx.surgery.edit(field, torch.tensor(keep))
