"""One step of a stage: draws batches, renders, weighs the terms. An update composes these into what its method does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..components import Data, Draw, Loss, Quantities, Renderer
from ..errors import UserError
from ..recipe.model import Pass, Stage, Term
from ..recipe.wiring import PassPlan, StagePlan
from ..scene import Scene, SceneView, frozen
from ..schedules import Clock
from ..streams import key, stream
from .optimisers import Optimisers
from .surgery import Surgery


class Diverged(UserError):
    """A term, a gradient or a parameter is no longer finite."""


@dataclass
class ActivePass:
    """A pass of the running stage, with what it is made of."""

    name: str
    table: Pass
    plan: PassPlan
    view: SceneView
    renderer: Renderer
    data: Data | None
    set: str
    detached: dict[str, nn.Parameter]


@dataclass
class TermValue:
    """A term evaluated: its value and weight now, and who receives its gradient (None: all that it reaches)."""

    value: Float[Tensor, ""]
    weight: float
    to: tuple[str, ...] | None


@dataclass
class Result:
    """What a pass drew and predicted."""

    batch: Quantities
    outputs: Quantities


@dataclass
class StepContext:
    """What an update sees of a step.

    Attributes:
        due: the passes whose turn it is, in an order in which each comes after the one it reads.
        results: what passes drew and predicted so far in this step.
        logged: values of this step's terms, and anything an update wants written down.
    """

    scene: Scene
    stage: Stage
    clock: Clock
    optimisers: Optimisers
    surgery: Surgery
    fabric: Any
    passes: Mapping[str, ActivePass]
    losses: Mapping[str, tuple[Term, Loss]]
    due: Sequence[str] = ()
    results: dict[str, Result] = field(default_factory=dict)
    logged: dict[str, Tensor] = field(default_factory=dict)
    set_override: str | None = None

    @property
    def turns(self) -> int:
        """How many times the most frequent due pass is drawn in this step."""
        return max((self.passes[n].table.repeat for n in self.due), default=0)

    def due_in(self, turn: int) -> list[str]:
        """Return the due passes that are drawn at least `turn` + 1 times in a step."""
        return [n for n in self.due if turn < self.passes[n].table.repeat]

    def generator(self, place: str, step: int | None = None) -> torch.Generator:
        """Return the stream of a place of this stage, at this step of the run or at another count."""
        at = self.clock.run if step is None else step
        return stream(self.scene.recipe.seed, f"{self.stage.name}/{place}", self.fabric.global_rank, at)

    def run(self, names: Iterable[str]) -> None:
        """Draw and render passes; what they share within the step is computed once."""
        for name in names:
            self.results[name] = self._run(self.passes[name])

    def _run(self, active: ActivePass) -> Result:
        batch = self._batch(active)
        if active.table.time is not None and "points" in batch:
            batch["time"] = torch.full_like(batch["points"][:, 0], active.table.time)
        index = self.clock.draws[active.name] = self.clock.draws.get(active.name, 0) + 1
        seed = key(self.scene.recipe.seed, f"{self.stage.name}/{active.name}/dropout", self.fabric.global_rank, index)
        torch.manual_seed(seed)
        with frozen(active.detached) if active.detached else nullcontext(), self.fabric.autocast():
            outputs = active.renderer(active.view, batch, active.plan.want)
        return Result(batch, outputs)

    def _batch(self, active: ActivePass) -> Quantities:
        if active.plan.source is not None:
            read = self.results[active.plan.source]
            return {**read.batch, **read.outputs}
        if active.data is None:
            return {}
        index = self.clock.draws.get(active.name, 0)
        place = f"{active.name}/{self.set_override or 'draw'}"
        request = Draw(
            set=self.set_override or active.set,
            options=active.table.draw,
            index=index,
            stream=partial(self.generator, place),
            scene=active.view,
            time=self._time(),
        )
        batch = active.data.sample(request)
        return {q: v.to(self.scene.device, non_blocking=True) for q, v in batch.items()}

    def _time(self) -> float:
        """The step's one time stamp: drawn, or each stamp of the data in turn."""
        stamps = next((p.data.times for p in self.passes.values() if p.data is not None and p.data.times), ())
        if self.stage.time == "cycle" and stamps:
            return stamps[self.clock.stage % len(stamps)]
        draw = torch.rand((), generator=self.generator("time"))
        return stamps[int(draw * len(stamps))] if stamps else float(draw)

    def terms(self, names: Iterable[str], *, on_fields: bool = True) -> dict[str, TermValue]:
        """Evaluate the active terms on these passes, and those on fields alone."""
        ran = {*names}
        values: dict[str, TermValue] = {}
        for name, (term, loss) in self.losses.items():
            if not self._counts(term):
                continue
            on_pass = [t for t in term.on if t in self.passes]
            if on_pass and {*on_pass} <= ran:
                joined = _join([self.results[n] for n in on_pass])
            elif not on_pass and on_fields:
                joined = Result({}, self._field_quantities(term, loss))
            else:
                continue
            with self.fabric.autocast():
                value = loss(joined.outputs, joined.batch)
            values[name] = TermValue(value, self.clock.now(term.weight), term.to)
            self.logged[name] = value.detach()
        return values

    def every_term(self) -> dict[str, TermValue]:
        """Evaluate all terms of the stage on the passes run so far, whether or not it is their time."""
        values = {}
        for name, (term, loss) in self.losses.items():
            on_pass = [t for t in term.on if t in self.passes]
            joined = _join([self.results[n] for n in on_pass]) if on_pass else Result({}, self._field_quantities(term, loss))
            values[name] = TermValue(loss(joined.outputs, joined.batch), 1.0, term.to)
        return values

    def receives(self, parameter: str, to: Sequence[str]) -> bool:
        """Say whether a parameter, by full name, is among the receivers `to`."""
        return any(parameter in self.scene.parameters_of(target) for target in to)

    def _counts(self, term: Term) -> bool:
        until = None if term.until is None else self.clock.steps(term.until)
        return self.clock.steps(term.start) <= self.clock.stage and (until is None or self.clock.stage < until)

    def _field_quantities(self, term: Term, loss: Loss) -> Quantities:
        wanted = frozenset(q.removesuffix("?") for q in term.loss.config.wiring().needs)
        target = term.on[0]
        if target.startswith("renderers."):
            return self.scene.renderers[target.partition(".")[2]].quantities(wanted)  # type: ignore[operator, no-any-return]
        return self.scene.fields[target].evaluate({}, wanted)  # type: ignore[operator, no-any-return]

    def backward(self, terms: Mapping[str, TermValue]) -> None:
        """Add the terms' weighted gradients, one backward for each distinct `to`, a share of one accumulated batch.

        Raises:
            Diverged: a term is not finite.
        """
        groups: dict[tuple[str, ...] | None, Tensor] = {}
        for name, term in terms.items():
            if not torch.isfinite(term.value):
                raise Diverged(f"loss {name!r} became {float(term.value)} at step {self.clock.run}")
            if term.weight != 0.0 and term.value.requires_grad:
                share = term.value * (term.weight / self.stage.accumulate)
                groups[term.to] = groups[term.to] + share if term.to in groups else share
        for index, (to, total) in enumerate(groups.items()):
            keep = index + 1 < len(groups)
            if to is None:
                self.fabric.backward(total, retain_graph=keep)
            elif inputs := self._receivers(to):
                self.fabric.backward(total, inputs=inputs, retain_graph=keep)

    def _receivers(self, to: Sequence[str]) -> list[nn.Parameter]:
        named = [p for target in to for p in self.scene.parameters_of(target).values()]
        return [p for p in named if p.requires_grad]

    def optimise(self, only: str | None = None) -> None:
        """Clip and apply the gradients, then forget them."""
        if self.fabric.world_size > 1:
            for parameter in self.optimisers.names.values():
                if parameter.grad is not None:
                    parameter.grad = self.fabric.all_reduce(parameter.grad, reduce_op="mean")
        if self.stage.clip is not None:
            norm = self.optimisers.clip(self.clock.now(self.stage.clip))
            self.logged["gradient_norm"] = torch.tensor(norm)
        self.optimisers.step(only)
        self.optimisers.zero()


def _join(results: Sequence[Result]) -> Result:
    """Put the elements of several passes into one set, so that a loss takes one mean over all of them."""
    if len(results) == 1:
        return results[0]
    shared = set.intersection(*({*r.outputs} for r in results)), set.intersection(*({*r.batch} for r in results))
    outputs = {q: torch.cat([r.outputs[q] for r in results]) for q in shared[0]}
    return Result({q: torch.cat([r.batch[q] for r in results]) for q in shared[1]}, outputs)


def activate(scene: Scene, stage: Stage, plan: StagePlan) -> dict[str, ActivePass]:
    """Return the passes of a stage, wired to the built scene."""
    active: dict[str, ActivePass] = {}
    for name, wired in plan.passes.items():
        table = stage.passes[name]
        head, _, chosen = (table.data or "").partition(".")
        detached: dict[str, nn.Parameter] = {}
        for target in table.detach:
            detached.update(scene.parameters_of(target))
        active[name] = ActivePass(
            name=name,
            table=table,
            plan=wired,
            view=scene.view(wired.roles),
            renderer=scene.renderers[table.renderer],  # type: ignore[arg-type]
            data=None if wired.source is not None or not head else scene.data[head],
            set=chosen,
            detached=detached,
        )
    return active
