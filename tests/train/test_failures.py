"""Runs that go wrong: the culprit is named, the last good state is kept, and one message says how to go on."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neuralfw.errors import UserError
from neuralfw.hooks import hook
from neuralfw.session import resume, train
from neuralfw.training.checkpoint import Store
from neuralfw.training.optimisers import Diverged

from .conftest import KillAt, Killed, Write, assert_same_run, metrics, state

DATA = """
[data.items]
type = "items"
[fields.sdf]
type = "ball"
"""
STAGE = """
[[stages]]
name = "fit"
steps = 9
train = ["sdf"]
passes = {{ samples = {{ data = "items" }} }}
losses = [{losses}]
callbacks = [{callbacks}]
"""


@pytest.fixture
def bad(recipe: Write) -> Callable[..., Path]:
    """Write a recipe whose poison works at step 6; a checkpoint is written at step 4."""

    def write(where: str | None = None, callbacks: str = "") -> Path:
        poison = "" if where is None else f', {{ type = "poison", at = 6, where = "{where}" }}'
        losses = '{ type = "sdf_regression", on = "samples" }' + poison
        return recipe(DATA + STAGE.format(losses=losses, callbacks=callbacks))

    return write


def assert_last_good_state(run: Path, step: int) -> None:
    checkpoint, notes = Store(run / "checkpoints").load()
    assert not notes
    assert checkpoint.state["clock"]["run"] == step
    assert all(t.isfinite().all() for group in checkpoint.tensors.values() for t in group.values())


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("loss", "loss 'poison' became nan at step 6"),
        ("gradient", r"the norm of the gradient of fields\.sdf\.(center|radius) became nan at step 6"),
    ],
)
def test_divergence_names_the_culprit(where: str, message: str, bad: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=message) as failure:
        train(bad(where), out=tmp_path / "run")
    assert f"the last good state is kept: {tmp_path}/run/checkpoints/step-00000004" in str(failure.value)
    assert f"neuralfw resume {tmp_path}/run" in str(failure.value)
    assert_last_good_state(tmp_path / "run", 4)
    assert metrics(tmp_path / "run")[-1]["step"] == 6


def test_parameter_that_a_callback_spoilt_is_named_and_not_saved(bad: Callable[..., Path], tmp_path: Path) -> None:
    path = bad(callbacks='{ type = "spoil", from = 8, every = 8 }')
    with pytest.raises(Diverged, match=r"parameter fields\.sdf\.radius is no longer finite at step 8"):
        train(path, out=tmp_path / "at_the_save")
    assert_last_good_state(tmp_path / "at_the_save", 4)
    path = bad(callbacks='{ type = "spoil", from = 6, every = 6 }')
    with pytest.raises(Diverged, match=r"loss .* at step 6; parameter fields\.sdf\.radius is not finite"):
        train(path, out=tmp_path / "between")
    assert_last_good_state(tmp_path / "between", 4)


def test_infinite_weight_overflow_is_caught(recipe: Write, tmp_path: Path) -> None:
    losses = '{ type = "sdf_regression", on = "samples", weight = 1e38 }, '
    losses += '{ type = "sdf_regression", name = "other", on = "samples", weight = 3.4e38 }'
    path = recipe(DATA.replace('"ball"', '"ball"\nradius = 50.0') + STAGE.format(losses=losses, callbacks=""))
    with pytest.raises(Diverged, match="the sum of the losses overflows at step 0"):
        train(path, out=tmp_path / "run")


def test_held_out_loss_that_is_no_number_stops_the_run(recipe: Write, tmp_path: Path) -> None:
    losses = '{ type = "sdf_regression", on = "samples" }, { type = "poison", on = "samples", at = 2, weight = 0.0 }'
    path = recipe("validation = { every = 3 }\n" + DATA + STAGE.format(losses=losses, callbacks=""))
    with pytest.raises(Diverged, match="the loss of the held-out data became nan at step 3"):
        train(path, out=tmp_path / "run")


def test_out_of_memory_is_a_message(bad: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"out of memory at step 6: .*\n.*smaller batches may help.*step-00000004"):
        train(bad("memory"), out=tmp_path / "run")


def test_error_of_a_component_keeps_its_type_and_says_what_is_kept(bad: Callable[..., Path], tmp_path: Path) -> None:
    for name, options in (("loss", ["error"]), ("callback", [None, '{ type = "break", from = 6, every = 6 }'])):
        path = bad(*options)
        with pytest.raises(ValueError, match="a mistake of the plugin") as failure:
            train(path, out=tmp_path / name)
        (note,) = failure.value.__notes__
        assert f"{tmp_path}/{name}/checkpoints/step-00000004" in note
        assert_last_good_state(tmp_path / name, 4)


class Fails:
    """A plugin that fails in one hook, at one step."""

    def __init__(self, name: str, step: int) -> None:
        @hook
        def fail(trainer: Any) -> None:
            if trainer.clock.run == step:
                raise RuntimeError("a mistake of the plugin")

        setattr(self, name, fail)


@pytest.mark.parametrize(
    ("name", "step"),
    [("neuralfw_run_start", 0), ("neuralfw_stage_start", 0), ("neuralfw_scalars", 6), ("neuralfw_step_end", 6)],
)
def test_hook_that_fails_loses_nothing(name: str, step: int, bad: Callable[..., Path], tmp_path: Path) -> None:
    whole = train(bad(), out=tmp_path / "whole")
    with pytest.raises(RuntimeError, match="a mistake of the plugin") as failure:
        train(bad(), out=tmp_path / "run", watchers=[Fails(name, step)])
    assert f"step-{step:08d}" in failure.value.__notes__[0]
    assert_last_good_state(tmp_path / "run", step)
    assert_same_run(whole, resume(tmp_path / "run"))


def test_full_disk_while_saving_stops_with_the_state_before(
    bad: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Store.save

    def full(self: Store, checkpoint: Any, step: int, keep: int, *, best: bool = False) -> Path:
        if step == 8:
            monkeypatch.setattr(Path, "mkdir", refuse)
        return save(self, checkpoint, step, keep, best=best)

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "save", full)
        with pytest.raises(UserError, match=r"cannot save the checkpoint .*: No space left on device\n.*step-00000004"):
            train(bad(), out=tmp_path / "run")
    monkeypatch.undo()


def test_resume_falls_back_over_a_damaged_checkpoint(bad: Callable[..., Path], tmp_path: Path) -> None:
    whole = train(bad(), out=tmp_path / "whole")
    with pytest.raises(Killed):
        train(bad(), out=tmp_path / "run", watchers=[KillAt(8)])
    with (tmp_path / "run/checkpoints/step-00000008/scene.safetensors").open("r+b") as file:
        file.truncate(10)
    said: list[str] = []
    assert_same_run(whole, resume(tmp_path / "run", say=said.append))
    assert any("step-00000008" in s and "damaged" in s and "going on from step 4" in s for s in said)


def test_checkpoint_of_another_recipe_is_refused(bad: Callable[..., Path], tmp_path: Path) -> None:
    run = train(bad(), out=tmp_path / "run")
    written = (run / "recipe.toml").read_text()
    (run / "recipe.toml").write_text(written + '\n[fields.other]\ntype = "dots"\n')
    with pytest.raises(
        UserError, match=r"the checkpoint does not fit the recipe: fields\.other\.mass, fields\.other\.place on one"
    ):
        resume(run)


def test_number_of_rows_may_differ_only_after_surgery(recipe: Write, tmp_path: Path) -> None:
    dots = '[fields.dots]\ntype = "dots"\n'
    losses = '{ type = "sdf_regression", on = "samples" }'
    run = train(recipe(DATA + dots + STAGE.format(losses=losses, callbacks="")), out=tmp_path / "run")
    written = (run / "recipe.toml").read_text()
    (run / "recipe.toml").write_text(written.replace("count = 6", "count = 5"))
    with pytest.raises(UserError, match=r"fields\.dots\.\w+ is \(6.*\) there, \(5.*\) here"):
        resume(run)


def test_missing_data_on_resume_is_a_message(
    tiny_recipe: Callable[..., Path], tmp_path: Path, sphere_cloud: Path
) -> None:
    cloud = tmp_path / "cloud.ply"
    cloud.write_bytes(sphere_cloud.read_bytes())
    run = train(tiny_recipe(), [f"data.points.path={cloud}"], out=tmp_path / "run")
    cloud.unlink()
    with pytest.raises(UserError, match=r"cloud\.ply does not exist"):
        resume(run)


def test_missing_data_leaves_no_folder_behind(tiny_recipe: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.ply does not exist"):
        train(tiny_recipe(), ["data.points.path=nothing.ply"], out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_folder_that_is_not_empty_is_refused(tiny_recipe: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/thesis.tex").write_text("precious")
    with pytest.raises(UserError, match=f"{tmp_path}/run is not empty: choose another --out"):
        train(tiny_recipe(), out=tmp_path / "run")


def test_second_interrupt_stops_at_once(bad: Callable[..., Path], tmp_path: Path) -> None:
    import signal

    class Impatient:
        @hook
        def neuralfw_step_end(self, trainer: Any, ctx: Any) -> None:
            if trainer.clock.run == 6:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)

    said: list[str] = []
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match=r"stopped at once; the last good state is kept: .*step-00000004"):
        train(bad(), out=tmp_path / "run", say=said.append, watchers=[Impatient()])
    assert "SIGINT: saving after this step; Ctrl-C again stops at once" in said
    assert signal.getsignal(signal.SIGINT) is before
    assert state(tmp_path / "run")[1]["clock"]["run"] == 4
