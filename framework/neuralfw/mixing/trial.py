"""Whether a recipe trains: a short run of it, and what a run must do to be called working."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import UserError
from ..hooks import hook
from ..session import train
from ..training.optimisers import Diverged
from ..training.signals import Interrupted

if TYPE_CHECKING:
    from ..training.step import StepContext
    from ..training.trainer import Trainer


@dataclass(frozen=True)
class Verdict:
    """What came of a trial.

    Attributes:
        works: whether every term stayed finite, the total fell, each trained field moved and a result came out.
        reason: what did not, in words; empty where it works.
        seconds: it took.
    """

    works: bool
    reason: str
    seconds: float


def trial(recipe: str | Path, overrides: Sequence[str], out: Path) -> Verdict:
    """Train a recipe, export, and judge.

    Args:
        recipe: a recipe file, or the name of a shipped one.
        overrides: "key=value" texts, that make it short among others.
        out: the run directory.

    Raises:
        Interrupted: it was asked to stop, which says nothing of the recipe.
    """
    judge, began = Judge(), time.perf_counter()
    try:
        train(recipe, [*overrides, "log.report=false"], out=out, device="cpu", watchers=[judge])
        reason = "; ".join([*judge.faults(), *_missing(out)])
    except Diverged as error:
        reason = f"diverged: {error}"
    except UserError as error:
        reason = f"refused by the trainer: {error}"
    except Interrupted:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
    return Verdict(not reason, reason, time.perf_counter() - began)


def _missing(out: Path) -> list[str]:
    """Say so where neither a mesh nor Gaussians nor a picture came out."""
    found = [f for folder in ("meshes", "gaussians", "images") for f in out.glob(f"{folder}/*") if f.stat().st_size]
    return [] if found else ["no mesh, no Gaussians and no picture came out"]


@dataclass
class Judge:
    """Watches a run: the terms of each stage, at the weights of its first steps, and where parameters began."""

    totals: list[list[float]] = field(default_factory=list)
    still: set[str] = field(default_factory=set)
    _weights: dict[str, float] = field(default_factory=dict)
    _values: dict[str, float] = field(default_factory=dict)
    _began: dict[str, Tensor] = field(default_factory=dict)

    @hook
    def neuralfw_stage_start(self, trainer: Trainer, stage: str, steps: int) -> None:
        self.totals.append([])
        self._weights, self._values, self._began = {}, {}, {}

    @hook
    def neuralfw_step_end(self, trainer: Trainer, ctx: StepContext) -> None:
        if not self._began:
            self._began = {n: p.detach().clone() for n, p in ctx.optimisers.names.items()}
        for name, term in ctx.losses.items():
            if (value := ctx.logged.get(f"loss/{name}")) is not None:
                self._values[name] = float(value)
                self._weights.setdefault(name, ctx.clock.now(term.table.weight) or 1.0)
        self.totals[-1].append(sum(self._weights[n] * v for n, v in self._values.items()))
        if ctx.clock.stage == ctx.clock.stage_steps:
            self.still |= _still(ctx, self._began)

    def faults(self) -> list[str]:
        """Say what did not go as it must."""
        found = []
        for index, totals in enumerate(self.totals):
            share = max(1, len(totals) // 5)
            first, last = (sum(part) / len(part) for part in (totals[:share], totals[-share:]))
            if not all(map(math.isfinite, totals)):
                found.append(f"stage {index + 1}: a term is not finite")
            elif last >= first:
                found.append(f"stage {index + 1}: the total rose from {first:.4g} to {last:.4g}")
        return [*found, *(f"{name} did not move" for name in sorted(self.still))]


def _still(ctx: StepContext, began: dict[str, Tensor]) -> set[str]:
    """Return the entries of `train` of which nothing moved; a change of shape, by surgery, is moving."""
    now = ctx.optimisers.names
    moved = {n for n, p in began.items() if n not in now or p.shape != now[n].shape or not torch.equal(p, now[n])}
    return {entry for entry, names in ctx.optimisers.entries.items() if names and moved.isdisjoint(names)}
