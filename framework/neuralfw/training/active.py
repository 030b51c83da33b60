"""The passes and terms of a running stage: a recipe's tables, wired to the components that were built."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from torch import nn

from ..components import Data, Field, Loss, Quantities, Renderer
from ..recipe.model import Pass, Stage, Term
from ..recipe.wiring import PassPlan, StagePlan
from ..scene import Scene, SceneView
from ..schedules import Clock


@dataclass(frozen=True)
class ActivePass:
    """A pass, with what it is made of.

    Attributes:
        set: name of the set it draws from, "" for the default.
        fields: the fields it evaluates, with those that they are made of.
        detached: the parameters that it only reads, by full name.
    """

    name: str
    table: Pass
    plan: PassPlan
    view: SceneView
    renderer: Renderer
    data: Data | None
    set: str
    fields: frozenset[str]
    detached: Mapping[str, nn.Parameter]

    def is_due(self, clock: Clock) -> bool:
        """Say whether it is this pass's turn."""
        since = clock.stage - clock.steps(self.table.offset)
        return since >= 0 and since % max(1, clock.steps(self.table.every)) == 0


@dataclass(frozen=True)
class ActiveTerm:
    """A term, with its loss.

    Attributes:
        passes: the passes it stands on; none where it stands on a field or a renderer.
        alone: gives the quantities of that field or renderer.
        quantities: those that the loss needs or observes.
        receivers: full names of the parameters that receive its gradient, None for all that it reaches.
    """

    name: str
    table: Term
    loss: Loss
    passes: tuple[str, ...]
    alone: Callable[[], Quantities] | None
    quantities: frozenset[str]
    receivers: frozenset[str] | None

    def counts(self, clock: Clock) -> bool:
        """Say whether the term counts at this time."""
        until = self.table.until
        return clock.steps(self.table.start) <= clock.stage and (until is None or clock.stage < clock.steps(until))


def active_passes(scene: Scene, stage: Stage, plan: StagePlan) -> dict[str, ActivePass]:
    """Return the passes of a stage, each after the one it reads."""
    active: dict[str, ActivePass] = {}
    for name, wired in plan.passes.items():
        table = stage.passes[name]
        head, _, chosen = (table.data or "").partition(".")
        detached = {n: p for target in table.detach for n, p in scene.parameters_of(target).items()}
        active[name] = ActivePass(
            name=name,
            table=table,
            plan=wired,
            view=scene.view(wired.roles, detached),
            renderer=scene.renderers[table.renderer],  # type: ignore[arg-type]
            data=None if wired.source is not None or not head else scene.data[head],
            set=chosen,
            fields=_fields_of(scene, table, wired),
            detached=detached,
        )
    return active


def active_terms(scene: Scene, stage: Stage, passes: Mapping[str, ActivePass]) -> dict[str, ActiveTerm]:
    """Return the terms of a stage."""
    terms: dict[str, ActiveTerm] = {}
    for table in stage.losses:
        on = tuple(target for target in table.on if target in passes)
        wiring = table.loss.config.wiring()
        terms[table.name] = ActiveTerm(
            name=table.name,
            table=table,
            loss=scene.make(table.loss),
            passes=on,
            alone=None if on else _alone(scene, table.on[0], _plain(wiring.needs)),
            quantities=_plain((*wiring.needs, *wiring.observes)),
            receivers=_receivers(scene, stage, table, [passes[n] for n in on]),
        )
    return terms


def _plain(quantities: Iterable[str]) -> frozenset[str]:
    return frozenset(q.removesuffix("?") for q in quantities)


def _alone(scene: Scene, target: str, want: frozenset[str]) -> Callable[[], Quantities]:
    """Return what evaluates the quantities that a field or a renderer has by itself."""
    head, _, rest = target.partition(".")
    if head == "renderers":
        return partial(scene.renderers[rest], scene.view(), {}, want)
    field: Field = scene.fields[target]  # type: ignore[assignment]
    return partial(field.evaluate, {}, want)


def _fields_of(scene: Scene, table: Pass, plan: PassPlan) -> frozenset[str]:
    """Return the fields that a pass evaluates for what is wanted of it."""
    provides = {name: scene.recipe.fields[name].config.wiring().provides for name in plan.roles.values()}
    renderer = scene.recipe.renderers[table.renderer].config.wiring()
    pending = [*renderer.needs, *(need for q in plan.want for need in renderer.provides[q])]
    seen, fields = {*renderer.supplies, *(plan.observed & scene.coordinates)}, set[str]()
    while pending:
        quantity = pending.pop().removesuffix("?")
        for name in () if quantity in seen else [n for n, given in provides.items() if quantity in given]:
            fields.add(name)
            pending += provides[name][quantity]
        seen.add(quantity)
    return frozenset(fields).union(*(scene.parts_of(name) for name in fields))


def _receivers(scene: Scene, stage: Stage, table: Term, on: list[ActivePass]) -> frozenset[str] | None:
    """Return who receives a term's gradient: those it names, without what a pass detaches from the pass it reads.

    What a pass detaches is frozen while it renders; the graph of the batch that it reads has to be cut here.
    """
    cut = {name for active in on if active.plan.source is not None for name in active.detached}
    if table.to is None and not cut:
        return None
    named = {n for target in (table.to or stage.train) for n in scene.parameters_of(target)}
    return frozenset(named - cut)


def epoch_steps(stage: Stage, passes: Mapping[str, ActivePass]) -> int:
    """Return how many steps visit every item of the first pass's data once."""
    for active in passes.values():
        if active.data is not None:
            every = active.table.every if isinstance(active.table.every, int) else 1
            batches = active.data.batches(active.set, active.table.draw)
            return max(1, math.ceil(batches * max(1, every) / (active.table.repeat * stage.accumulate)))
    return 1
