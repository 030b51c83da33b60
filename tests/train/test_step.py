"""What a step does with passes, terms and gradients, against the same written out by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from neuralfw.errors import UserError
from neuralfw.hooks import hook
from neuralfw.session import train
from neuralfw.streams import stream
from neuralfw.training.step import StepContext

from .conftest import Write, metrics, state

Context = Callable[[str], StepContext]

FIELDS = """
[data.items]
type = "items"
[fields.sdf]
type = "ball"
[fields.shade]
type = "shade"
"""


def stage(passes: str, losses: str, train: str = "sdf = { lr = 0.0 }", extra: str = "") -> str:
    return f"""{FIELDS}
[[stages]]
name = "fit"
steps = 9
train = {{ {train} }}
passes = {{ {passes} }}
losses = [{losses}]
{extra}
"""


def drawn(name: str, index: int, count: int = 8) -> Tensor:
    """The points of a draw of the toy data."""
    return torch.rand(count, 3, generator=stream(0, f"fit/{name}/draw", 0, index)) * 2 - 1


def off(points: Tensor, ctx: StepContext) -> Tensor:
    """The error of each point."""
    return (ctx.scene.fields["sdf"](points)["sdf"] - (points.norm(dim=1) - 0.5)).abs()


def gradients(ctx: StepContext) -> dict[str, Tensor | None]:
    found = {n.removeprefix("fields."): p.grad for n, p in ctx.optimisers.names.items()}
    for parameter in ctx.optimisers.names.values():
        parameter.grad = None
    return found


SAMPLES = 'samples = { data = "items" }'
FIT = '{ type = "sdf_regression", on = "samples" }'


def test_loss_on_several_passes_is_one_mean_over_those_that_run(context: Context) -> None:
    passes = 'few = { data = "items", batch = 3 }, many = { data = "items", batch = 9, every = 2 }'
    ctx = context(stage(passes, '{ type = "sdf_regression", on = ["few", "many"] }'))
    assert ctx.due == ["few"]
    ctx.run(["few"])
    assert ctx.terms(["few"])["sdf_regression"].value == off(drawn("few", 1, 3), ctx).mean()
    ctx.run(["few", "many"])
    both = torch.cat([drawn("few", 2, 3), drawn("many", 1, 9)])
    torch.testing.assert_close(ctx.terms(["few", "many"])["sdf_regression"].value, off(both, ctx).mean())
    assert ctx.terms(["other"]) == {}


def test_weights_receivers_and_a_loss_on_a_field(context: Context) -> None:
    dots = '[fields.dots]\ntype = "dots"\n'
    losses = f'{FIT}, {{ type = "sdf_zero", on = "samples", power = 2, weight = 3.0, to = ["sdf.radius"] }}, '
    losses += '{ type = "gather", on = "dots", weight = 0.5, to = ["dots.place"] }'
    ctx = context(dots + stage(SAMPLES, losses, "sdf = { lr = 0.0 }, dots = { lr = 0.0 }"))
    ball, cloud = ctx.scene.fields["sdf"], ctx.scene.fields["dots"]
    ctx.run(ctx.due)
    ctx.backward(ctx.terms(ctx.due))
    found = gradients(ctx)
    points = drawn("samples", 1)
    fit, zero = off(points, ctx).mean(), 3.0 * ball(points)["sdf"].square().mean()
    torch.testing.assert_close(found["sdf.center"], torch.autograd.grad(fit, ball.center, retain_graph=True)[0])
    torch.testing.assert_close(found["sdf.radius"], torch.autograd.grad(fit + zero, ball.radius)[0])
    gather = 0.5 * (cloud.place * cloud.mass[:, None] - 1.0).square().mean()
    torch.testing.assert_close(found["dots.place"], torch.autograd.grad(gather, cloud.place)[0])
    assert found["dots.mass"] is None


def test_passes_come_after_those_they_read(context: Context) -> None:
    passes = f'{SAMPLES}, pulled = {{ data = "samples", renderer = "pull" }}, shades = {{ data = "again", renderer = "shade" }}, again = {{ data = "pulled", renderer = "pull" }}'
    losses = '{ type = "sdf_zero", on = "again" }, { type = "shade", on = "shades" }'
    ctx = context(stage(passes, losses, "sdf = { lr = 0.0 }, shade = { lr = 0.0 }"))
    assert ctx.due == ["samples", "pulled", "again", "shades"]


def test_detach_cuts_what_a_pass_evaluates(context: Context) -> None:
    passes = f'{SAMPLES}, held = {{ data = "items", detach = ["sdf.center"] }}'
    losses = '{ type = "sdf_zero", on = "held", power = 2 }, { type = "sdf_zero", name = "free", on = "samples", weight = 0.0 }'
    ctx = context(stage(passes, losses))
    ctx.run(ctx.due)
    ctx.backward(ctx.terms(ctx.due))
    found = gradients(ctx)
    assert found["sdf.center"] is None
    ball = ctx.scene.fields["sdf"]
    torch.testing.assert_close(
        found["sdf.radius"], torch.autograd.grad(ball(drawn("held", 1))["sdf"].square().mean(), ball.radius)[0]
    )
    assert ball.center.requires_grad


def test_detach_cuts_what_a_pass_reads_from_another(context: Context) -> None:
    moved = 'moved = { data = "items", renderer = "pull" }'
    losses = '{ type = "shade", on = "shades" }, { type = "sdf_zero", on = "moved", weight = 0.0 }'
    both = "sdf = { lr = 0.0 }, shade = { lr = 0.0 }"
    for detach, reached in (("", True), (', detach = ["sdf"]', False)):
        passes = f'{moved}, shades = {{ data = "pulled", renderer = "shade"{detach} }}, pulled = {{ data = "moved", renderer = "offset" }}'
        ctx = context(stage(passes, losses, both))
        ctx.run(ctx.due)
        ctx.scene.fields["shade"].weight.data.fill_(0.3)
        ctx.run(ctx.due)
        ctx.backward(ctx.terms(ctx.due))
        found = gradients(ctx)
        assert found["shade.weight"] is not None
        assert (found["sdf.center"] is not None) == reached


def test_a_pass_reads_values_of_one_that_ran_before(context: Context) -> None:
    passes = 'moved = { data = "items", renderer = "offset" }, shades = { data = "moved", renderer = "shade" }'
    ctx = context(stage(passes, '{ type = "shade", on = "shades" }', "shade = { lr = 0.0 }"))
    ctx.run(["moved"])
    for _ in range(2):
        ctx.run(["shades"])
        ctx.backward(ctx.terms(["shades"]))
    assert torch.equal(ctx.results["shades"].batch["points"], ctx.results["moved"].outputs["points"])


def test_every_offset_and_repeat(context: Context, tmp_path: Path, recipe: Write) -> None:
    seen: list[tuple[list[str], int]] = []

    class Watch:
        @hook
        def neuralfw_step_end(self, trainer: Any, ctx: StepContext) -> None:
            seen.append(([*ctx.due], ctx.clock.draws.get("often", 0)))

    passes = 'often = { data = "items", repeat = 3 }, seldom = { data = "items", every = 3, offset = 2 }, reader = { data = "seldom", renderer = "pull" }'
    losses = '{ type = "sdf_regression", on = "often" }, { type = "sdf_zero", on = ["seldom", "reader"] }'
    run = train(recipe(stage(passes, losses, "sdf = {}")), out=tmp_path / "run", watchers=[Watch()])
    due = [d for d, _ in seen]
    assert [("seldom" in d, "reader" in d, "often" in d) for d in due] == [
        (i in (2, 5, 8), i in (2, 5, 8), True) for i in range(9)
    ]
    assert [n for _, n in seen] == [3 * (i + 1) for i in range(9)]
    steps = [t for n, t in state(run)[0].items() if n == "optimisers/fields.sdf.radius/step"]
    assert torch.frombuffer(bytearray(steps[0]), dtype=torch.float32).item() == 27.0


def test_accumulated_batches_give_the_gradient_of_their_union(context: Context) -> None:
    moved: list[Tensor] = []
    for accumulate, batch in ((4, 6), (1, 24)):
        text = stage(f'samples = {{ data = "items", batch = {batch} }}', FIT, extra=f"accumulate = {accumulate}")
        ctx = context(text)
        for _ in range(accumulate):
            ctx.run(ctx.due)
            ctx.backward(ctx.terms(ctx.due), share=1.0 / accumulate)
        grad = gradients(ctx)["sdf.center"]
        points = torch.cat([drawn("samples", accumulate + i, batch) for i in range(accumulate)])
        torch.testing.assert_close(
            grad, torch.autograd.grad(off(points, ctx).mean(), ctx.scene.fields["sdf"].center)[0]
        )
        moved.append(grad)
    assert not torch.equal(*moved)


def test_one_time_stamp_a_step_in_turn_or_drawn(recipe: Write, tmp_path: Path) -> None:
    passes = f'{SAMPLES}, more = {{ data = "items" }}, fixed = {{ data = "items", time = 0.25 }}'
    losses = '{ type = "sdf_regression", on = ["samples", "more", "fixed"] }'
    for how in ("cycle", "random"):
        stamps: list[list[float]] = []

        class Watch:
            seen = stamps

            @hook
            def neuralfw_step_end(self, trainer: Any, ctx: StepContext) -> None:
                times = {name: ctx.results[name].batch["time"] for name in ("samples", "more", "fixed")}
                assert all((t == t[0]).all() for t in times.values())
                assert times["samples"][0] == times["more"][0]
                self.seen.append([float(times["samples"][0]), float(times["fixed"][0])])

        text = stage(passes, losses, "sdf = {}", f'time = "{how}"').replace('"items"\n', '"items"\ntimed = true\n')
        train(recipe(text), out=tmp_path / how, watchers=[Watch()])
        drawn = [moment for moment, _ in stamps]
        assert {fixed for _, fixed in stamps} == {0.25}
        assert {*drawn} == {0.0, 0.5, 1.0}
        assert (drawn == [0.0, 0.5, 1.0] * 3) == (how == "cycle")


def test_clipping_bounds_the_joint_norm(recipe: Write, tmp_path: Path) -> None:
    first = metrics(train(recipe(stage(SAMPLES, FIT, "sdf = { lr = 0.0 }")), out=tmp_path / "free"))[0]
    assert "gradient_norm" not in first
    lines = metrics(train(recipe(stage(SAMPLES, FIT, "sdf = { lr = 0.0 }", "clip = 1e-3")), out=tmp_path / "clipped"))
    assert lines[0]["gradient_norm"] > 0.5
    means = state(tmp_path / "clipped")[0]
    norm = torch.cat([_floats(means[f"optimisers/fields.sdf.{n}/exp_avg"]) for n in ("center", "radius")]).norm()
    assert norm <= 1e-3


def _floats(data: bytes) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.float32)


def test_a_field_fills_its_role_by_the_pass(context: Context) -> None:
    other = '[fields.other]\ntype = "ball"\nradius = 0.9\n'
    passes = f'{SAMPLES}, others = {{ data = "items", fields = {{ sdf = "other" }} }}'
    losses = f'{FIT}, {{ type = "sdf_zero", on = "others" }}'
    ctx = context(other + stage(passes, losses, "sdf = { lr = 0.0 }, other = { lr = 0.0 }"))
    ctx.run(ctx.due)
    torch.testing.assert_close(
        ctx.terms(ctx.due)["sdf_zero"].value, ctx.scene.fields["other"](drawn("others", 1))["sdf"].abs().mean()
    )
    assert ctx.passes["others"].fields == {"other"}


@pytest.mark.parametrize(
    ("losses", "trained", "idle"),
    [
        (FIT, "sdf = {}, shade = {}", "shade"),
        (
            '{ type = "sdf_zero", on = "samples", to = ["sdf.radius"] }',
            '"sdf.center" = {}, "sdf.radius" = {}',
            r"sdf\.center",
        ),
    ],
)
def test_idle_field_is_refused_by_name(losses: str, trained: str, idle: str, recipe: Write, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=f"stage 'fit' trains {idle}, but no loss of it depends on {idle}: take it out of train"
    ):
        train(recipe(stage(SAMPLES, losses, trained)), out=tmp_path / "run")


def test_passes_that_are_seldom_due_do_not_make_a_field_idle(recipe: Write, tmp_path: Path) -> None:
    passes = f'{SAMPLES}, shades = {{ data = "items", renderer = "shade", every = 100, offset = 50 }}'
    run = train(
        recipe(stage(passes, f'{FIT}, {{ type = "shade", on = "shades" }}', "sdf = {}, shade = {}")),
        out=tmp_path / "run",
    )
    assert "loss/shade" not in metrics(run)[-1]


def test_only_what_is_named_moves(recipe: Write, tmp_path: Path) -> None:
    run = train(recipe(stage(SAMPLES, FIT, '"sdf.radius" = { lr = 0.1 }')), out=tmp_path / "run")
    start = train(recipe(stage(SAMPLES, FIT, '"sdf.radius" = { lr = 0.0 }')), out=tmp_path / "start")
    a, b = state(run)[0], state(start)[0]
    assert a["scene/fields.sdf.center"] == b["scene/fields.sdf.center"]
    assert a["scene/fields.sdf.radius"] != b["scene/fields.sdf.radius"]


def test_what_passes_share_is_made_once_until_the_graph_is_freed(context: Context) -> None:
    passes = f'{SAMPLES}, more = {{ data = "items" }}, held = {{ data = "items", detach = ["sdf"] }}'
    losses = '{ type = "sdf_zero", on = ["samples", "more"] }, { type = "eikonal", on = "held", weight = 0.0 }'
    ctx = context(stage(passes, losses))
    made: list[int] = []
    views = {name: active.view for name, active in ctx.passes.items()}

    def make() -> Tensor:
        made.append(1)
        return ctx.scene.fields["sdf"].radius * 2.0

    assert views["samples"].once("twice", make) is views["more"].once("twice", make)
    assert len(made) == 1
    views["held"].once("twice", make)
    assert len(made) == 2
    ctx.run(ctx.due)
    ctx.backward(ctx.terms(ctx.due))
    views["more"].once("twice", make)
    assert len(made) == 3


def test_mixed_precision_trains_through_the_hand_derived_sweep(recipe: Write, tmp_path: Path) -> None:
    text = stage(
        'samples = { data = "items", batch = 256 }',
        f'{FIT}, {{ type = "eikonal", on = "samples", weight = 0.1 }}',
        "sdf = { lr = 2e-3 }",
    )
    text = text.replace('type = "ball"', 'type = "mlp_sdf"\nwidth = 32\nlayers = 2').replace("steps = 9", "steps = 60")
    full = metrics(train(recipe(text), out=tmp_path / "full"))
    mixed = metrics(train(recipe('precision = "bf16-mixed"\n' + text), out=tmp_path / "mixed"))
    assert full[0]["loss/sdf_regression"] != mixed[0]["loss/sdf_regression"]
    for line, other in ((full[0], mixed[0]), (full[-1], mixed[-1])):
        assert other["loss/sdf_regression"] == pytest.approx(line["loss/sdf_regression"], rel=0.2, abs=5e-3)
