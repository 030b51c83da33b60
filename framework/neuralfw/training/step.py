"""One step of a stage: draws batches, renders, weighs the terms. An update composes these into what its method does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NoReturn

import torch
from jaxtyping import Float
from torch import Tensor

from ..components import Draw, Quantities
from ..recipe.model import Stage
from ..scene import Scene, frozen
from ..schedules import Clock
from ..streams import seed_dropout, stream
from .active import ActivePass, ActiveTerm
from .optimisers import Diverged, Optimisers
from .surgery import Surgery


@dataclass
class TermValue:
    """A term evaluated: its value and weight now, and who receives its gradient (None: all that it reaches)."""

    value: Float[Tensor, ""]
    weight: float = 1.0
    receivers: frozenset[str] | None = None


@dataclass
class Result:
    """What a pass drew and predicted."""

    batch: Quantities
    outputs: Quantities


@dataclass
class StepContext:
    """What an update sees of a step.

    Attributes:
        passes: the stage's passes, in an order in which each comes after the one it reads.
        losses: the stage's terms.
        due: the passes whose turn it is.
        results: what passes drew and predicted so far in this step.
        logged: values of this step's terms ("loss/name"), and anything an update or callback wants written down.
        set: the set that every pass draws from, instead of its own; "" while training.
    """

    scene: Scene
    stage: Stage
    clock: Clock
    optimisers: Optimisers
    surgery: Surgery
    fabric: Any
    passes: Mapping[str, ActivePass]
    losses: Mapping[str, ActiveTerm]
    due: Sequence[str] = ()
    results: dict[str, Result] = field(default_factory=dict)
    logged: dict[str, float | Tensor] = field(default_factory=dict)
    set: str = ""
    _time: float | None = field(default=None, init=False)

    def begin(self) -> None:
        """Forget the step before and note which passes are due: a pass that reads another only when that is."""
        self.results, self.logged, self._time = {}, {}, None
        self.scene.shared.clear()
        self.scene.graph.clear()
        self.due = due = []
        for name, active in self.passes.items():
            if active.is_due(self.clock) and (active.plan.source is None or active.plan.source in due):
                due.append(name)

    def turns(self, names: Iterable[str] | None = None) -> Iterator[list[str]]:
        """Yield the passes of each turn of the step, of those due or of `names`: a pass has as many as it repeats."""
        chosen = [*(self.due if names is None else names)]
        for turn in range(max((self.passes[n].table.repeat for n in chosen), default=1)):
            yield [n for n in chosen if turn < self.passes[n].table.repeat]

    def generator(self, place: str, step: int | None = None) -> torch.Generator:
        """Return the stream of a place of this stage, at this step of the run or at another count."""
        at = self.clock.run if step is None else step
        return stream(self.scene.recipe.seed, f"{self.stage.name}/{place}", self.fabric.global_rank, at)

    @property
    def time(self) -> float:
        """The step's one time stamp in [0, 1]: drawn, or each stamp of the data in turn."""
        if self._time is None:
            stamps = next((p.data.times for p in self.passes.values() if p.data is not None and p.data.times), ())
            if self.stage.time == "cycle" and stamps:
                self._time = stamps[self.clock.stage % len(stamps)]
            else:
                draw = float(torch.rand((), generator=self.generator(f"time/{self.set}")))
                self._time = stamps[int(draw * len(stamps))] if stamps else draw
        return self._time

    # -- passes --------------------------------------------------------------------------------------------------

    def run(self, names: Iterable[str]) -> None:
        """Draw and render passes. One that reads a pass run with it passes gradients on to it; else it reads values."""
        running: list[str] = []
        for name in names:
            active = self.passes[name]
            index = self.clock.draws.get(name, 0)
            batch = self._batch(active, index, linked=active.plan.source in running)
            self.clock.draws[name] = index + 1
            seed_dropout(self.scene.device, self.generator(f"{name}/dropout", index).initial_seed())
            with frozen(active.detached) if active.detached else nullcontext(), self.fabric.autocast():
                self.results[name] = Result(batch, active.renderer(active.view, batch, active.plan.want))
            running.append(name)

    def _batch(self, active: ActivePass, index: int, *, linked: bool) -> Quantities:
        batch: Quantities = {}
        if active.plan.source is not None:
            read = self.results[active.plan.source]
            batch = {**read.batch, **read.outputs}
            batch = batch if linked else {q: v.detach() for q, v in batch.items()}
        elif active.data is not None:
            drawn = active.data.sample(
                Draw(
                    set=self.set or active.set,
                    options=active.table.draw,
                    index=index,
                    stream=partial(self.generator, f"{active.name}/{self.set or 'draw'}"),
                    scene=active.view,
                    time=self.time,
                )
            )
            batch = {q: v.to(self.scene.device, non_blocking=True) for q, v in drawn.items()}
        if active.table.time is not None and "points" in batch:
            batch["time"] = torch.full_like(batch["points"][:, 0], active.table.time)
        return batch

    # -- terms ---------------------------------------------------------------------------------------------------

    def terms(self, names: Iterable[str], *, on_fields: bool = True) -> dict[str, TermValue]:
        """Evaluate the terms that count now: those on some of these passes, and those on fields alone."""
        ran = [*names]
        values: dict[str, TermValue] = {}
        for name, term in self.losses.items():
            if term.counts(self.clock) and (on_fields if term.alone else any(n in ran for n in term.passes)):
                value = self.value(term, ran)
                values[name] = TermValue(value, self.clock.now(term.table.weight), term.receivers)
                self.logged[f"loss/{name}"] = value.detach()
        return values

    def value(self, term: ActiveTerm, names: Sequence[str]) -> Float[Tensor, ""]:
        """Evaluate one term, on those of its passes that are among `names`."""
        with self.fabric.autocast():
            if term.alone is not None:
                return term.loss(term.alone(), {})
            joined = _join([self.results[n] for n in term.passes if n in names], term.quantities)
            return term.loss(joined.outputs, joined.batch)

    def reach(self) -> dict[str, frozenset[str]]:
        """Return, for each term, the parameters of `train` that receive its gradient through the graph.

        Every pass and term is evaluated once, whether or not it is its turn; the counts of draws do not advance.
        """
        trial = replace(self, clock=copy(self.clock), due=[*self.passes], results={}, logged={})
        trial.clock.draws = dict(self.clock.draws)
        trial.run(self.passes)
        reached: dict[str, frozenset[str]] = {}
        for name, term in self.losses.items():
            value = trial.value(term, [*self.passes])
            to = term.receivers
            parameters = {n: p for n, p in self.optimisers.names.items() if to is None or n in to}
            grads: Sequence[Tensor | None] = ()
            if value.requires_grad and parameters:
                grads = torch.autograd.grad(value, [*parameters.values()], retain_graph=True, allow_unused=True)
            reached[name] = frozenset(n for n, g in zip(parameters, grads, strict=False) if g is not None)
        self.scene.shared.clear()
        self.scene.graph.clear()
        return reached

    # -- gradients -----------------------------------------------------------------------------------------------

    def backward(self, terms: Mapping[str, TermValue], *, share: float = 1.0, leaves: Sequence[Tensor] = ()) -> None:
        """Add the terms' weighted gradients, one backward for each distinct set of receivers.

        Args:
            terms: values by name.
            share: factor of all weights, such as that of one among several accumulated batches.
            leaves: tensors that also receive gradients, whoever the terms' receivers are (mesh vertices).

        Raises:
            Diverged: a term is not finite.
        """
        totals: dict[frozenset[str] | None, Tensor] = {}
        for term in terms.values():
            if term.weight != 0.0 and term.value.requires_grad:
                weighted = term.value * (term.weight * share)
                totals[term.receivers] = totals[term.receivers] + weighted if term.receivers in totals else weighted
        for index, (receivers, total) in enumerate(totals.items(), start=1):
            if not torch.isfinite(total):
                self._diverged(terms)
            keep = index < len(totals)
            if receivers is None:
                self.fabric.backward(total, retain_graph=keep)
            elif inputs := [*(p for n, p in self.optimisers.names.items() if n in receivers), *leaves]:
                self.fabric.backward(total, inputs=inputs, retain_graph=keep)
        self.scene.graph.clear()

    def _diverged(self, terms: Mapping[str, TermValue]) -> NoReturn:
        bad = {n: float(t.value.detach()) for n, t in terms.items() if not torch.isfinite(t.value)}
        text = ", ".join(f"loss {n!r} became {value}" for n, value in bad.items()) or "the sum of the losses overflows"
        raise Diverged(f"{text} at step {self.clock.run}")

    def optimise(self, only: str | None = None) -> None:
        """Average the gradients over processes, clip and apply them, of all that moves or of one field; forget them.

        Raises:
            Diverged: a gradient is not finite.
        """
        if self.fabric.world_size > 1:
            self.optimisers.average(self.fabric, only)
        norm = self.optimisers.gradient_norm(only)
        scale = 1.0
        if self.stage.clip is not None:
            scale = min(1.0, self.clock.now(self.stage.clip) / max(norm, 1e-12))
            self.logged["gradient_norm"] = norm
        self.optimisers.step(only, scale=scale)


def _join(results: Sequence[Result], wanted: frozenset[str]) -> Result:
    """Put the elements of several passes into one set, so that a loss takes one mean over all of them."""
    if len(results) == 1:
        return results[0]

    def joined(parts: Sequence[Quantities]) -> Quantities:
        common = wanted.intersection(*parts)
        return {q: torch.cat([part[q] for part in parts]) for q in common}

    return Result(joined([r.batch for r in results]), joined([r.outputs for r in results]))
