"""The plain update: weighted terms, one backward for each distinct set of receivers, optimisers step."""

from __future__ import annotations

from ..components import Build, Update
from ..errors import UserError
from ..training.step import StepContext
from .config import GradientConfig


class Gradient(Update):
    """One gradient step for each turn of the most frequent pass, its gradient the mean over `accumulate` batches."""

    def __init__(self, config: GradientConfig, build: Build) -> None:
        super().__init__(config, build)

    def check(self, ctx: StepContext) -> None:
        refuse_idle(ctx, frozenset().union(*ctx.reach().values()))

    def step(self, ctx: StepContext) -> None:
        for turn, names in enumerate(ctx.turns()):
            for _ in range(ctx.stage.accumulate):
                ctx.run(names)
                ctx.backward(ctx.terms(names, on_fields=turn == 0), share=1.0 / ctx.stage.accumulate)
            ctx.optimise()


def refuse_idle(ctx: StepContext, reached: frozenset[str]) -> None:
    """Refuse a stage that trains something of which none of these parameters is a part.

    Raises:
        UserError: naming it.
    """
    if idle := [entry for entry, names in ctx.optimisers.entries.items() if reached.isdisjoint(names)]:
        names = ", ".join(idle)
        raise UserError(
            f"stage {ctx.stage.name!r} trains {names}, but no loss of it depends on {names}: "
            "take it out of train, or add a loss on a pass that uses it"
        )
