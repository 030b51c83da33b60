"""The toy plugin, recipes made of it, and runs that stop as if killed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from neuralfw.hooks import hook
from neuralfw.session import resume, train
from neuralfw.training.step import StepContext

PLUGIN = Path(__file__).parent / "plugin"

HEAD = """
name = "toy"
checkpoint = { every = 4, keep = 2 }
log = { every = 1, tensorboard = false, report = false }
export = { mesher = { type = "marching_cubes", resolution = 8, method = "dense", padding = 0.5 } }
"""


@pytest.fixture(autouse=True)
def toy_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the toy plugin found, in this test alone; and save the time that pictures of its meshes would take."""
    monkeypatch.syspath_prepend(str(PLUGIN))
    monkeypatch.setattr("neuralfw.run.save_picture", lambda *args, **kwargs: None)


Write = Callable[[str], Path]


@pytest.fixture
def recipe(tmp_path: Path) -> Write:
    """Write a recipe that starts with the common tables."""

    def write(text: str) -> Path:
        path = tmp_path / "toy.toml"
        path.write_text(HEAD + text, encoding="utf-8")
        return path

    return write


class Killed(BaseException):
    """Ends a run as SIGKILL would: whatever is not on disk is lost."""


class KillAt:
    """Kills a run after some step."""

    def __init__(self, step: int) -> None:
        self.step = step

    @hook
    def neuralfw_step_end(self, trainer: Any, ctx: Any) -> None:
        if trainer.clock.run == self.step:
            raise Killed


def killed_and_resumed(path: Path, out: Path, *steps: int) -> Path:
    """Train with a kill after each of the steps, each followed by a resume; return the finished run."""
    with pytest.raises(Killed):
        train(path, out=out, watchers=[KillAt(steps[0])])
    for step in steps[1:]:
        with pytest.raises(Killed):
            resume(out, watchers=[KillAt(step)])
    return resume(out)


def metrics(run: Path) -> list[dict[str, Any]]:
    """Return the lines of metrics.jsonl, the times of which differ from run to run, without these."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def state(run: Path, which: str = "latest") -> tuple[dict[str, bytes], Mapping[str, Any]]:
    """Return the tensors of a checkpoint as bytes, and its plain data, without the seconds."""
    from neuralfw.training.checkpoint import Store

    checkpoint, notes = Store(run / "checkpoints").load(which)
    assert not notes
    tensors = {f"{g}/{n}": t.numpy().tobytes() for g, group in checkpoint.tensors.items() for n, t in group.items()}
    return tensors, {k: v for k, v in checkpoint.state.items() if k != "seconds"}


def assert_same_run(a: Path, b: Path) -> None:
    """Check that two runs ended in the same state, bit for bit, and wrote the same metrics."""
    assert metrics(a) == metrics(b)
    assert state(a) == state(b)
    meshes = sorted(mesh.name for mesh in (a / "meshes").iterdir())
    assert meshes == sorted(mesh.name for mesh in (b / "meshes").iterdir())
    for mesh in meshes:
        assert (a / "meshes" / mesh).read_bytes() == (b / "meshes" / mesh).read_bytes()


class Grab:
    """Keeps the context of the first step and ends the run there."""

    @hook
    def neuralfw_step_end(self, trainer: Any, ctx: Any) -> None:
        self.ctx = ctx
        raise Killed


@pytest.fixture
def context(recipe: Write, tmp_path: Path) -> Callable[[str], StepContext]:
    """Build a recipe, do one step of its first stage and return the context, begun anew for the next step."""

    def start(text: str) -> StepContext:
        grab = Grab()
        with pytest.raises(Killed):
            train(recipe(text), out=tmp_path / f"context{len([*tmp_path.iterdir()])}", watchers=[grab])
        grab.ctx.begin()
        return grab.ctx

    return start
