"""Held-out data, judged by the losses of the stage: always the same batches and weights, and no parameter moves."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from ..recipe.model import ValidationTable
from ..schedules import Clock
from .optimisers import Diverged
from .step import StepContext


@dataclass
class Validation:
    """The verdicts of a stage so far.

    Attributes:
        best: lowest weighted sum of the losses.
        best_step: step of the run at which it was found.
        waited: validations since.
    """

    best: float | None = None
    best_step: int = -1
    waited: int = 0

    def state(self) -> dict[str, Any]:
        """Return the counters as plain data."""
        return asdict(self)

    def exhausted(self, table: ValidationTable | None) -> bool:
        """Say whether the stage should end early."""
        return table is not None and table.patience is not None and self.waited >= table.patience

    def judge(self, ctx: StepContext, table: ValidationTable | None) -> float | None:
        """Return the verdict if one is due and a pass of the stage has the set.

        Raises:
            Diverged: it is not finite.
        """
        if table is None or ctx.clock.stage % max(1, ctx.clock.steps(table.every)) != 0:
            return None
        verdict = held_out_loss(ctx, table)
        if verdict is None:
            return None
        if not math.isfinite(verdict):
            raise Diverged(f"the loss of the held-out data became {verdict} at step {ctx.clock.run}")
        if self.best is None or verdict < self.best:
            self.best, self.best_step, self.waited = verdict, ctx.clock.run, 0
        else:
            self.waited += 1
        return verdict


@torch.no_grad()
def held_out_loss(ctx: StepContext, table: ValidationTable) -> float | None:
    """Return the mean loss over the held-out batches, weighted as at the end of the stage; None without such data."""
    names = held_out_passes(ctx, table.set)
    held, end = replace(ctx, clock=Clock(), set=table.set), ctx.clock.at_stage_end()
    terms = [t for t in ctx.losses.values() if t.counts(end) and not {*names}.isdisjoint(t.passes)]
    if not terms:
        return None
    total = 0.0
    ctx.scene.eval()
    for index in range(table.batches):
        held.clock.run = held.clock.stage = index
        held.clock.draws = dict.fromkeys(names, index)
        held.begin()
        held.run(names)
        total += sum(float(held.value(t, names)) * end.now(t.table.weight) for t in terms)
    ctx.scene.train()
    return total / table.batches


def held_out_passes(ctx: StepContext, set_name: str) -> list[str]:
    """Return the passes whose data hold the set, and those that read one of them."""
    names: list[str] = []
    for name, active in ctx.passes.items():
        if active.plan.source in names or (active.data is not None and active.data.holds(set_name)):
            names.append(name)
    return names
