"""Held-out data, judged by the losses of the stage: always the same batches, no weight moves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch

from ..recipe.model import ValidationTable
from .step import StepContext


@dataclass
class Validation:
    """The best verdict of a stage so far.

    Attributes:
        best: lowest weighted sum of the losses.
        waited: validations since.
    """

    best: float | None = None
    waited: int = 0

    @property
    def improved(self) -> bool:
        """Whether the last verdict was the best."""
        return self.waited == 0 and self.best is not None

    def state(self) -> dict[str, Any]:
        """Return the counters as plain data."""
        return asdict(self)

    def judge(self, ctx: StepContext, table: ValidationTable) -> float | None:
        """Return the mean weighted loss over the held-out batches; None where no pass of the stage has that set."""
        names = [n for n, p in ctx.passes.items() if p.data is not None and p.data.holds(table.set)]
        if not names:
            return None
        draws, logged, results = dict(ctx.clock.draws), ctx.logged, ctx.results
        total = 0.0
        ctx.scene.eval()
        ctx.set_override = table.set
        with torch.no_grad():
            for index in range(table.batches):
                ctx.clock.draws = dict.fromkeys(ctx.passes, index)
                ctx.run(names)
                terms = ctx.terms(names, on_fields=False)
                total += sum(float(t.value) * t.weight for t in terms.values()) / table.batches
        ctx.set_override = None
        ctx.scene.train()
        ctx.clock.draws, ctx.logged, ctx.results = draws, logged, results
        self.waited = 0 if self.best is None or total < self.best else self.waited + 1
        self.best = total if self.waited == 0 else self.best
        return total
