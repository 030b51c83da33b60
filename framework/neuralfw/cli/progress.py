"""What a run shows while it trains: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from ..hooks import hook
from ..training.telling import told

if TYPE_CHECKING:
    from ..training.step import StepContext
    from ..training.trainer import Trainer

LIVE_SECONDS = 0.5
PLAIN_SECONDS = 10.0
_RATE_SECONDS = 30.0


class Watcher:
    """Shows stage, steps per second, time left, terms and validation. Values are read only when it shows something.

    Between two showings a step costs one reading of the clock.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._every = LIVE_SECONDS if self._console.is_terminal else PLAIN_SECONDS
        self._live: Live | None = None
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            auto_refresh=False,
            speed_estimate_period=_RATE_SECONDS,
            console=self._console,
        )
        self._stage = ""
        self._steps = self._shown_step = 0
        self._shown = 0.0

    def say(self, text: str) -> None:
        """Show a line, above the bar where there is one."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    @hook
    def neuralfw_stage_start(self, trainer: Trainer, stage: str, steps: int) -> None:
        """Begin a bar."""
        self._stage, self._steps = stage, steps
        self._shown, self._shown_step = time.perf_counter(), trainer.clock.stage
        self._task = self._bars.add_task(stage, total=steps, completed=trainer.clock.stage, rate="")
        if self._console.is_terminal and self._live is None:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()

    @hook
    def neuralfw_step_end(self, trainer: Trainer, ctx: StepContext) -> None:
        """Show the step, if it is time or the stage is done."""
        now = time.perf_counter()
        if now - self._shown < self._every and trainer.clock.stage < self._steps:
            return
        rate = (trainer.clock.stage - self._shown_step) / max(now - self._shown, 1e-9)
        self._shown, self._shown_step = now, trainer.clock.stage
        values = "  ".join(told(trainer, ctx))
        if self._live is None:
            self.say(self._line(rate, values))
            return
        self._bars.update(self._task, completed=trainer.clock.stage, rate=f"{rate:.3g} steps/s")
        self._live.update(Group(self._bars, Text(values, style="dim", overflow="ellipsis", no_wrap=True)), refresh=True)

    def _line(self, rate: float, values: str) -> str:
        left = (self._steps - self._shown_step) / rate if rate > 0 else 0.0
        return f"{self._stage} {self._shown_step:,}/{self._steps:,}  {rate:.3g} steps/s, {clock(left)} left  {values}"

    @hook
    def neuralfw_run_end(self, trainer: Trainer) -> None:
        """End the display, however training ended."""
        if self._live is not None:
            self._live.stop()
            self._live = None


@contextmanager
def steps(console: Console | None = None) -> Iterator[Callable[[str, int, int], None]]:
    """Yield what is told a step's name, how much of it is done and how much there is, and shows that.

    On a terminal as a bar for each step; elsewhere a line at the end of each, and now and then.
    """
    console = console or Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bars, tasks = Progress(*columns, console=console, disable=not console.is_terminal), {}
    shown, last = time.perf_counter(), ("", 0)

    def progress(name: str, done: int, total: int) -> None:
        nonlocal shown, last
        if name not in tasks:
            tasks[name] = bars.add_task(name, total=None)
        bars.update(tasks[name], completed=done, total=total or None)
        late = time.perf_counter() - shown > PLAIN_SECONDS or done == total > 0
        if not console.is_terminal and late and (name, done) != last:
            shown, last = time.perf_counter(), (name, done)
            console.print(f"{name} {done:,}/{total:,}", highlight=False, markup=False, soft_wrap=True)

    with bars:
        yield progress


def clock(seconds: float) -> str:
    """Return a span as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
