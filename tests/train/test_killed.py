"""Real processes, killed between steps and while they save, and the signals by which people and schedulers stop them."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import Write, assert_same_run, state

FIT = """
[data.items]
type = "items"
[fields.sdf]
type = "mlp_sdf"
width = 8
layers = 2
[fields.dots]
type = "dots"
[data.near]
type = "near_dots"
[[stages]]
name = "fit"
steps = 14
train = ["sdf", "dots"]
passes = { samples = { data = "items" }, near = { data = "near" } }
losses = [{ type = "sdf_regression", on = "samples" }, { type = "eikonal", on = ["near", "samples"], weight = 0.1 }, { type = "gather", on = "dots" }]
callbacks = [{ type = "split", every = 5 }]
"""
SAVE = 11
"""File operations of one save: four digests, five files, their folder and the one above."""


def drive(**options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(Path(__file__).parent / "driver.py"), json.dumps(options, default=str)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def finished(**options: Any) -> Path:
    """Train, or resume, to the end in a process of its own; return the run.

    What a process has loaded besides decides the last bits of its results: where numba has started its threads, those of
    a network differ. So every run that is compared here has a process like the others'.
    """
    done = drive(**options)
    assert done.returncode == 0, done.stderr
    return Path(options["out"])


@pytest.fixture
def fit(recipe: Write, tmp_path: Path) -> Path:
    return recipe(FIT)


def test_killed_at_random_steps_and_in_saves(fit: Path, tmp_path: Path) -> None:
    whole, broken = finished(recipe=fit, out=tmp_path / "whole"), tmp_path / "broken"
    dice = random.Random(f"{tmp_path}")  # another draw each time
    kills = [
        {"kill_after_step": dice.randint(5, 7)},
        {"kill_in_save": dice.randint(1, SAVE)},
        {"kill_in_save": SAVE + dice.randint(1, SAVE)},
    ]
    for resumed, kill in enumerate(kills):
        assert drive(recipe=fit, out=broken, resume=bool(resumed), **kill).returncode == -signal.SIGKILL, kills
    assert_same_run(whole, finished(out=broken, resume=True))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_saves_and_says_how_to_go_on(number: int, status: int, fit: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = drive(recipe=fit, out=out, signal_at_step=6, signal=number)
    assert done.returncode == status, done.stderr
    assert f"at step 6: saved; go on with: neuralfw resume {out}" in done.stdout
    assert state(out)[1]["clock"]["run"] == 6
    assert_same_run(finished(recipe=fit, out=tmp_path / "whole"), finished(out=out, resume=True))
