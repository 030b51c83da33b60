"""Says, before hours are spent, that a run on a CPU will take hours, and which recipe is made for minutes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from .hooks import hook
from .shipped import shipped_recipes

if TYPE_CHECKING:
    from .training.step import StepContext
    from .training.trainer import Trainer

STEPS = 5
HOURS = 1.0


class Pace:
    """Times the first steps of a run; the first of all is left out, since it compiles and allocates."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._times: list[float] = []

    @hook
    def neuralfw_step_end(self, trainer: Trainer, ctx: StepContext) -> None:
        """Take the time of a step; after a few, tell how many hours all of them take at this pace."""
        if len(self._times) > STEPS:
            return
        self._times.append(time.perf_counter())
        if len(self._times) == STEPS + 1:
            steps = sum(trainer.clock.steps(stage.steps) for stage in trainer.recipe.stages) - trainer.clock.run
            hours = steps * (self._times[-1] - self._times[0]) / STEPS / 3600.0
            if hours > HOURS:
                self._say(f"at the pace of the first steps this takes about {hours:.0f} hours{_remedy(trainer)}")


def _remedy(trainer: Trainer) -> str:
    """Name the recipe in small of a method whose recipe has the paper's sizes, and the place of the results so far."""
    name = trainer.recipe.name
    small = name.removesuffix("_paper").removesuffix("_release")
    named = f"; {small} is made for minutes on a CPU" if small != name and small in shipped_recipes() else ""
    return f"{named}; Ctrl-C saves the state"
