"""Stages one after the other: borders, lengths, validation, the best checkpoint, early stop, the cache, the log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from neuralfw.errors import UserError
from neuralfw.hooks import hook
from neuralfw.run import Run
from neuralfw.session import resume, train

from .conftest import KillAt, Killed, Write, assert_same_run, killed_and_resumed, metrics, state

DATA = """
[data.items]
type = "items"
items = 20
[fields.sdf]
type = "ball"
"""


def stage(name: str, steps: Any, extra: str = "", losses: str = '{ type = "sdf_regression", on = "samples" }') -> str:
    length = f'"{steps}"' if isinstance(steps, str) else steps
    head = f'[[stages]]\nname = "{name}"\nsteps = {length}\npasses = {{ samples = {{ data = "items" }} }}\n'
    return head + f"losses = [{losses}]\n" + ('train = ["sdf"]\n' if "train" not in extra else "") + extra + "\n"


class Watch:
    """Notes what a run tells."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, int]] = []
        self.terms: list[frozenset[str]] = []

    @hook
    def neuralfw_stage_start(self, trainer: Any, stage: str, steps: int) -> None:
        self.seen.append((stage, steps, trainer.clock.stage))

    @hook
    def neuralfw_step_end(self, trainer: Any, ctx: Any) -> None:
        self.terms.append(frozenset(name for name in ctx.logged if name.startswith("loss/")))


@pytest.mark.parametrize("step", [1, 4, 5, 6, 9])
def test_resume_in_and_at_a_border(step: int, recipe: Write, tmp_path: Path) -> None:
    path = recipe(
        DATA
        + stage("a", 5, 'callbacks = ["tally", { type = "tally", name = "last", at = "end" }]')
        + stage("b", 4, 'callbacks = ["tally"]')
    )
    path.write_text(path.read_text().replace("every = 4", "every = 1"))
    assert_same_run(train(path, out=tmp_path / "whole"), killed_and_resumed(path, tmp_path / "run", step))


def test_killed_after_every_single_step_of_a_stage_that_stops_early(recipe: Write, tmp_path: Path) -> None:
    early = stage("a", 30, 'train = { sdf = { lr = 0.3 } }\ncallbacks = ["tally"]')
    path = recipe("validation = { every = 2, patience = 2 }\n" + DATA + early + stage("b", 2))
    path.write_text(path.read_text().replace("every = 4", "every = 1"))
    whole = train(path, out=tmp_path / "whole")
    last = metrics(whole)[-1]["step"]
    assert 6 < last < 20
    assert_same_run(whole, killed_and_resumed(path, tmp_path / "run", *range(1, last + 1)))


def test_resume_of_a_finished_run_says_so_and_changes_nothing(recipe: Write, tmp_path: Path) -> None:
    run = train(recipe(DATA + stage("a", 5)), out=tmp_path / "run")
    before, lines, said = state(run), (run / "metrics.jsonl").read_bytes(), []
    resume(run, say=said.append)
    assert "this run is finished, at step 5: nothing is left to train" in said
    assert state(run) == before
    assert (run / "metrics.jsonl").read_bytes() == lines


def test_lengths_in_epochs_and_skipped_stages(recipe: Write, tmp_path: Path) -> None:
    watch = Watch()
    text = (
        stage("skipped", 0)
        + stage("none", "0 epochs")
        + stage("two_epochs", "2 epochs")
        + stage("accumulates", "2 epochs", "accumulate = 2")
    )
    train(recipe(DATA + text), out=tmp_path / "run", watchers=[watch])
    assert watch.seen == [("two_epochs", 6, 0), ("accumulates", 4, 0)]  # 20 items in batches of 8


def test_terms_count_from_until(recipe: Write, tmp_path: Path) -> None:
    losses = '{ type = "sdf_regression", on = "samples" }, '
    losses += '{ type = "eikonal", on = "samples", from = 2, until = 4 }, { type = "sdf_zero", on = "samples", from = "1 epochs" }'
    watch = Watch()
    train(recipe(DATA + stage("a", 5, losses=losses)), out=tmp_path / "run", watchers=[watch])
    assert [("loss/eikonal" in t, "loss/sdf_zero" in t) for t in watch.terms] == [
        (False, False), (False, False), (True, False), (True, True), (False, True)
    ]  # fmt: skip


def test_the_clock_of_a_finished_run_stays_at_its_end(recipe: Write, tmp_path: Path) -> None:
    faded = DATA.replace('"ball"', '"ball"\nsquash = { type = "linear", start = 1.0, end = 3.0 }')
    run = Run(train(recipe(faded + stage("a", 3) + stage("b", 5)), out=tmp_path / "run"))
    ball = run.scene.fields["sdf"]
    center = run.frame.to_world(ball.center.detach().numpy()[None].astype(float))
    assert run.sdf(center)[0] * run.frame.scale == pytest.approx(-3.0 * float(ball.radius), rel=1e-5)


# -- validation ----------------------------------------------------------------------------------------------------


def test_validation_moves_no_weight(recipe: Write, tmp_path: Path) -> None:
    text = DATA.replace("ball", "mlp_sdf").replace(
        '"mlp_sdf"', '"mlp_sdf"\nwidth = 8\nlayers = 2\ndropout = 0.2'
    ) + stage("a", 7)
    plain = train(recipe(text), out=tmp_path / "plain")
    judged = train(recipe("validation = { every = 2, batches = 3 }\n" + text), out=tmp_path / "judged")
    assert state(plain)[0] == state(judged)[0]
    verdicts = [line["step"] for line in metrics(judged) if "validation" in line]
    assert verdicts == [2, 4, 6]


def test_validation_is_the_loss_on_held_out_batches_with_the_weights_of_the_end(recipe: Write, tmp_path: Path) -> None:
    weight = "weight = { type = 'linear', start = 0.0, end = 2.0 }"
    losses = (
        f'{{ type = "sdf_regression", on = "samples", {weight} }}, {{ type = "sdf_zero", on = "samples", until = 3 }}'
    )
    text = "validation = { every = 3, batches = 2 }\n" + DATA + stage("a", 6, losses=losses)
    run = train(recipe(text), out=tmp_path / "run")
    from neuralfw.streams import stream

    ball = Run(run).scene.fields["sdf"]
    points = [torch.rand(8, 3, generator=stream(0, "a/samples/val", 0, i)) * 2 - 1 for i in range(2)]
    off = [float((ball(p)["sdf"] - (p.norm(dim=1) - 0.5)).abs().mean()) for p in points]
    assert metrics(run)[-1]["validation"] == pytest.approx(2.0 * (off[0] + off[1]) / 2, rel=1e-5)


def test_best_is_the_step_of_the_lowest_verdict(recipe: Write, tmp_path: Path) -> None:
    text = "validation = { every = 1 }\n" + DATA + stage("a", 14, "train = { sdf = { lr = 0.08 } }")
    run = train(recipe(text), out=tmp_path / "run")
    verdicts = {line["step"]: line["validation"] for line in metrics(run)}
    best = min(verdicts, key=lambda step: verdicts[step])
    assert 1 < best < 14
    assert state(run, "best")[1]["clock"]["run"] == best
    assert Run(run, which="best").scene.clock.run == best


def test_patience_ends_the_stage_early(recipe: Write, tmp_path: Path) -> None:
    text = (
        "validation = { every = 2, patience = 3 }\n"
        + DATA
        + stage("a", 100, "train = { sdf = { lr = 0.3 } }")
        + stage("b", 2)
    )
    run = train(recipe(text), out=tmp_path / "run")
    verdicts = [line["validation"] for line in metrics(run) if "validation" in line and line["stage"] == "a"]
    ends = next(n for n in range(4, 50) if min(verdicts[: n - 3]) <= min(verdicts[n - 3 : n]))
    assert len(verdicts) == ends
    assert [line["stage"] for line in metrics(run)] == ["a"] * 2 * ends + ["b"] * 2


def test_stage_that_cannot_be_validated_is_said(recipe: Write, tmp_path: Path) -> None:
    said: list[str] = []
    path = recipe('validation = { set = "test" }\n' + DATA + stage("a", 2))
    train(path, out=tmp_path / "run", say=said.append)
    assert "stage 'a' is not validated: none of its data holds a set 'test'" in said


def test_cycle_without_time_stamps_is_refused(recipe: Write, tmp_path: Path) -> None:
    with pytest.raises(UserError, match='time = "cycle" needs time stamps, which none of its data has'):
        train(recipe(DATA + stage("a", 2, 'time = "cycle"')), out=tmp_path / "run")


# -- the cache -----------------------------------------------------------------------------------------------------


def test_cached_stage_is_reused_bit_for_bit_and_said(
    recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    text = DATA + stage("a", 5, 'cache = true\ncallbacks = ["tally"]') + stage("b", 3, 'callbacks = ["tally"]')
    first, second = Watch(), Watch()
    whole = train(recipe(text), out=tmp_path / "whole", watchers=[first])
    said: list[str] = []
    again = train(recipe(text), out=tmp_path / "again", watchers=[second], say=said.append)
    assert (len(first.terms), len(second.terms)) == (8, 3)
    assert state(whole) == state(again)
    (note,) = [s for s in said if s.startswith(f"stage 'a' is taken from the cache: {tmp_path}/cache/neuralfw/stages/")]
    assert note in (again / "log.txt").read_text()


@pytest.mark.parametrize("change", ["seed = 1\n", ("radius = 0.3", "radius = 0.4"), ("steps = 5", "steps = 6")])
def test_cache_is_not_used_for_anything_else(
    change: Any, recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    text = DATA.replace('"ball"', '"ball"\nradius = 0.3') + stage("a", 5, "cache = true")
    train(recipe(text), out=tmp_path / "whole")
    watch = Watch()
    train(
        recipe(change + text if isinstance(change, str) else text.replace(*change)),
        out=tmp_path / "x",
        watchers=[watch],
    )
    assert len(watch.terms) >= 5


def test_damaged_cache_is_not_used(recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    text = DATA + stage("a", 5, "cache = true")
    train(recipe(text), out=tmp_path / "whole")
    for file in (tmp_path / "cache").rglob("scene.safetensors"):
        file.write_bytes(b"x")
    watch = Watch()
    assert_same_run(tmp_path / "whole", train(recipe(text), out=tmp_path / "run", watchers=[watch]))
    assert len(watch.terms) == 5


# -- the log -------------------------------------------------------------------------------------------------------


def test_resume_drops_lines_after_the_checkpoint_and_half_lines(recipe: Write, tmp_path: Path) -> None:
    path = recipe(DATA + stage("a", 9))
    with pytest.raises(Killed):
        train(path, out=tmp_path / "run", watchers=[KillAt(7)])
    file = tmp_path / "run/metrics.jsonl"
    with file.open("a") as stream:
        stream.write('{"step": 8, "loss/sdf_regr')
    assert [line["step"] for line in metrics_of(file)] == [1, 2, 3, 4, 5, 6, 7]
    resume(tmp_path / "run")
    assert [line["step"] for line in metrics(tmp_path / "run")] == [*range(1, 10)]


def metrics_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines() if line.endswith("}")]


def test_every_nth_step_and_the_last_are_logged(recipe: Write, tmp_path: Path) -> None:
    path = recipe(DATA + stage("a", 8, "clip = 0.01"))
    path.write_text(path.read_text().replace("log = { every = 1", "log = { every = 3"))
    lines = metrics(train(path, out=tmp_path / "run"))
    assert [line["step"] for line in lines] == [3, 6, 8]
    assert {*lines[0]} == {"step", "stage", "loss/sdf_regression", "lr/sdf", "gradient_norm"}


def test_tensorboard_holds_what_the_lines_hold(recipe: Write, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    path = recipe(DATA + stage("a", 6))
    path.write_text(path.read_text().replace("tensorboard = false", "tensorboard = true"))
    run = killed_and_resumed(path, tmp_path / "run", 5)
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    told = {e.step: e.value for e in events.Scalars("loss/sdf_regression")}
    assert told == pytest.approx({line["step"]: line["loss/sdf_regression"] for line in metrics(run)})
