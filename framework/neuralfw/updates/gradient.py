"""The plain update: weighted terms, one backward for each distinct receiver, optimisers step."""

from __future__ import annotations

import torch

from ..components import Build, Update
from ..errors import UserError
from ..train.step import StepContext
from .config import GradientConfig


def unreached(ctx: StepContext) -> list[str]:
    """Return the entries of `train` that no term of the stage reaches through the graph.

    Every pass and term is evaluated once, whether or not it is its turn; the counts of draws do not advance.
    """
    draws = dict(ctx.clock.draws)
    ctx.run(ctx.passes)
    ctx.clock.draws = draws
    reached: set[str] = set()
    for term in ctx.every_term().values():
        if not term.value.requires_grad:
            continue
        names = {n: p for n, p in ctx.optimisers.names.items() if term.to is None or ctx.receives(n, term.to)}
        grads = torch.autograd.grad(term.value, [*names.values()], retain_graph=True, allow_unused=True)
        reached |= {n for n, g in zip(names, grads, strict=True) if g is not None}
    ctx.results, ctx.logged = {}, {}
    ctx.scene.shared.clear()
    return [entry for entry, names in ctx.optimisers.entries.items() if not reached & {*names}]


class Gradient(Update):
    """One gradient step for each turn of the most frequent pass."""

    def __init__(self, config: GradientConfig, build: Build) -> None:
        super().__init__(config, build)

    def check(self, ctx: StepContext) -> None:
        if idle := unreached(ctx):
            names = ", ".join(idle)
            raise UserError(
                f"stage {ctx.stage.name!r} trains {names}, but no loss of it depends on {names}: "
                "take it out of train, or add a loss on a pass that uses it"
            )

    def step(self, ctx: StepContext) -> None:
        for turn in range(ctx.turns):
            names = ctx.due_in(turn)
            for _ in range(ctx.stage.accumulate):
                ctx.run(names)
                ctx.backward(ctx.terms(names, on_fields=turn == 0))
            ctx.optimise()
