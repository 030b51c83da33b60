"""Progress: values are read only when something is shown, and what is shown is true."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from neuralfw.cli import progress
from neuralfw.cli.progress import LIVE_SECONDS, PLAIN_SECONDS, Watcher, clock


class Loss:
    """A value that counts how often it is read, as reading one may wait for the device."""

    reads = 0

    def __float__(self):
        Loss.reads += 1
        return 0.25


@pytest.fixture
def time(monkeypatch):
    """A clock that stands still unless it is moved."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now.seconds)
    return now


def run(time, *, terminal, steps, seconds, best=None, done=0):
    """Return what a stage of so many steps shows that each take so long, and how often a value was read."""
    Loss.reads = 0
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None, legacy_windows=False)
    watcher = Watcher(console)
    trainer = SimpleNamespace(clock=SimpleNamespace(stage=done), validation=SimpleNamespace(best=best))
    ctx = SimpleNamespace(logged={"loss/eikonal": Loss(), "gradient_norm": 2.0})
    watcher.neuralfw_stage_start(trainer, "fit", steps)
    for _ in range(done, steps):
        time.seconds += seconds
        trainer.clock.stage += 1
        watcher.neuralfw_step_end(trainer, ctx)
    watcher.neuralfw_run_end(trainer)
    return console.file.getvalue(), Loss.reads


def test_lines_where_there_is_no_terminal(time):
    text, reads = run(time, terminal=False, steps=100, seconds=0.25)
    first, second, last = text.splitlines()
    assert first == "fit 40/100  4 steps/s, 0:15 left  eikonal 0.25  gradient_norm 2"
    assert second.startswith("fit 80/100") and last.startswith("fit 100/100") and "0:00 left" in last
    assert reads == 3 and PLAIN_SECONDS == 40 * 0.25


def test_a_live_bar_on_a_terminal(time):
    text, reads = run(time, terminal=True, steps=20, seconds=0.1, best=0.125)
    assert reads == 20 * 0.1 / LIVE_SECONDS
    assert "20/20" in text and "10 steps/s" in text and "eikonal 0.25" in text and "best validation 0.125" in text


def test_a_stage_that_goes_on_counts_only_its_own_steps(time):
    text, _ = run(time, terminal=False, steps=1000, seconds=1.0, done=990)
    assert text.startswith("fit 1,000/1,000  1 steps/s")


@pytest.mark.parametrize("terminal", [True, False])
def test_fast_steps_are_hardly_ever_shown(time, terminal):
    _, reads = run(time, terminal=terminal, steps=5000, seconds=0.001)
    assert reads <= 5.0 / LIVE_SECONDS + 1


def test_notes_are_shown_as_they_are(time):
    console = Console(file=io.StringIO(), width=20)
    Watcher(console).say("[bold] is not markup, and a long line stays one line")
    assert console.file.getvalue() == "[bold] is not markup, and a long line stays one line\n"


@pytest.mark.parametrize(("seconds", "text"), [(0.0, "0:00"), (59.6, "1:00"), (75.0, "1:15"), (108061.0, "30:01:01")])
def test_spans_of_time(seconds, text):
    assert clock(seconds) == text
