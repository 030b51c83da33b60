"""Checks that what each pass draws and predicts is what its losses need, before any data is read. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..config import DataConfig, Ref, Spec, Wiring, options
from ..registry import Registry
from ..suggest import nearest
from . import model as m
from .faults import RecipeError
from .plan import PassPlan, Plan, StagePlan
from .source import Source
from .supply import Provided, Supply, lacks, required, taken
from .tables import Place, marker
from .words import listed

__all__ = ["PassPlan", "Plan", "StagePlan", "wire", "wire_stages"]


def wire(recipe: m.Recipe, source: Source, registry: Registry) -> Plan:
    """Wire a resolved recipe.

    Raises:
        RecipeError: naming each quantity that is missing, and which components would bring it.
    """
    specs = {"data": recipe.data, "fields": recipe.fields, "renderers": recipe.renderers}
    supply = Supply(specs, source, registry)
    stages = wire_stages(supply, dict(enumerate(recipe.stages)))
    if recipe.export is not None:
        supply.check_export(recipe.export.mesher)
        posed = (spec for spec in recipe.data.values() if "world_to_camera" in spec.config.wiring().provides)
        if recipe.export.cull and next(posed, None) is None:
            supply.fault(("export", "cull"), "there are no posed photographs that could see faces of the mesh")
    if supply.faults:
        raise RecipeError(supply.faults)
    return Plan(stages, [*dict.fromkeys(supply.warnings)])


def wire_stages(supply: Supply, stages: Mapping[int, m.Stage]) -> list[StagePlan]:
    """Wire stages, given by their position in the recipe; `supply` gets their faults and warnings."""
    return [_StageWirer(supply, stage, ("stages", index)).wire() for index, stage in stages.items()]


@dataclass
class _Pass:
    """A pass that is being wired: its table, place and renderer beside what will be its plan."""

    name: str
    table: m.Pass
    path: Place
    renderer: Wiring
    roles: Mapping[str, str]
    given: Provided
    observed: frozenset[str]
    inputs: frozenset[str]
    source: _Pass | None
    want: set[str] = field(default_factory=set)

    @property
    def predicted(self) -> frozenset[str]:
        return frozenset(q for q in self.renderer.provides if not self.lacks(self.renderer.provides[q]))

    def lacks(self, needs: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Say what is missing for field quantities, each with those that ask for it."""
        missing: dict[str, tuple[str, ...]] = {}
        for need in required(needs):
            missing |= lacks(need, self.given, self.inputs)
        return missing

    @property
    def supplier(self) -> str:
        """What the batch comes from, in words."""
        if self.source is not None:
            return f'pass "{self.source.name}"'
        return f'pass "{self.name}" has no data, so it' if self.table.data is None else f'data "{self.table.data}"'

    def plan(self) -> PassPlan:
        source = None if self.source is None else self.source.name
        return PassPlan(self.name, self.roles, self.observed, self.predicted, frozenset(self.want), source)


class _StageWirer:
    def __init__(self, supply: Supply, stage: m.Stage, path: Place) -> None:
        self.supply, self.stage, self.path = supply, stage, path
        self.passes: dict[str, _Pass] = {}
        self.missing: dict[tuple[str, str], dict[str, list[str]]] = {}

    def wire(self) -> StagePlan:
        for name in self._order():
            self.passes[name] = self._pass(name)
        for index, term in enumerate(self.stage.losses):
            self._term(term, (*self.path, "losses", index))
        used = self._serve(self.stage.update, (*self.path, "update"))
        for index, event in enumerate(self.stage.callbacks):
            self._serve(event.callback, (*self.path, "callbacks", index))
        for active in reversed(self.passes.values()):
            self._ask_source(active)
        self._tell_missing()
        self._note_idle(used)
        self._note_lost_flow()
        return StagePlan(self.stage.name, {name: active.plan() for name, active in self.passes.items()})

    # -- passes --------------------------------------------------------------------------------------------------

    def _order(self) -> list[str]:
        """Return the passes so that each comes after the one it reads."""
        done: list[str] = []
        pending = dict(self.stage.passes)
        while pending:
            ready = [n for n, p in pending.items() if p.data not in pending or p.data == n]
            if not ready:
                circle = _circle({name: str(p.data) for name, p in pending.items()})
                text = f"passes {listed(circle)} read each other in a circle"
                self.supply.fault((*self.path, "passes", circle[0], "data"), text)
                return done
            done += ready
            pending = {n: p for n, p in pending.items() if n not in ready}
        return done

    def _pass(self, name: str) -> _Pass:
        table, path = self.stage.passes[name], (*self.path, "passes", name)
        source = self.passes.get(table.data or "") if table.data != name else None
        observed = self._observed(table, source)
        roles = self.supply.roles(table.fields)
        spec = self.supply.renderers[table.renderer]
        wiring, given = spec.config.wiring(), self.supply.given(roles)
        inputs = (observed & self.supply.coordinates) | {*wiring.supplies}
        active = _Pass(name, table, path, wiring, roles, given, observed, inputs, source)
        who = f'renderer "{table.renderer}"'
        for quantity in required(wiring.observes):
            if quantity not in observed:
                self._miss(active, quantity, who)
        self._require(active, wiring.needs, who)
        self.supply.check_capabilities(wiring, who, roles, (*path, "renderer"))
        if source is not None and table.repeat > source.table.repeat:
            text = f'pass "{name}" repeats {table.repeat} times a step, more often than "{source.name}", which it reads'
            self.supply.fault((*path, "repeat"), text)
        return active

    def _observed(self, table: m.Pass, source: _Pass | None) -> frozenset[str]:
        fixed = {"time"} if table.time is not None else set()
        if source is not None:
            return source.observed | source.predicted | fixed
        if table.data is None:
            return frozenset(fixed)
        name, _, chosen = table.data.partition(".")
        config = self.supply.data[name].config
        assert isinstance(config, DataConfig)
        sets = config.sets()
        return frozenset(sets[chosen] if chosen else next(iter(sets.values()))) | fixed

    def _ask_source(self, reader: _Pass) -> None:
        """Make the passes that are read predict what the reader takes from them."""
        wiring = reader.renderer
        needs = [*wiring.needs, *(need for quantity in reader.want for need in wiring.provides[quantity])]
        asked = taken(needs, reader.given, reader.inputs) - {*wiring.supplies}
        asked |= {q.removesuffix("?") for q in wiring.observes}
        for term in self.stage.losses:
            if reader.name in term.on:
                asked |= {q.removesuffix("?") for q in term.loss.config.wiring().observes}
        source = reader.source
        while source is not None:
            source.want |= asked & source.predicted
            asked, source = asked - source.predicted, source.source

    # -- losses and the update -----------------------------------------------------------------------------------

    def _term(self, term: m.Term, path: Place) -> None:
        for target in term.to or ():
            if not any(_overlap(target, trained) for trained in self.stage.train):
                text = f'loss "{term.name}" sends its gradient to "{target}", which this stage does not train'
                self.supply.fault((*path, "to"), text, nearest(target, self.stage.train), self.stage.train)
        on_passes = [target for target in term.on if target in self.stage.passes]
        if not on_passes and len(term.on) == 1:
            self._term_on_field(term, term.on[0], path)
        elif len(on_passes) < len(term.on):
            self.supply.fault((*path, "on"), "a loss is on passes, or on one field alone")
        for target in on_passes:
            if target in self.passes:
                self._term_on_pass(term, self.passes[target], path)

    def _term_on_field(self, term: m.Term, target: str, path: Place) -> None:
        head, _, rest = target.partition(".")
        spec = self.supply.renderers[rest] if head == "renderers" else self.supply.fields[target]
        wiring, given = term.loss.config.wiring(), spec.config.wiring().provides
        for need in required(wiring.needs):
            if need not in given or [*required(given[need])]:
                text = f'loss "{term.name}" needs {need}, which "{target}" ({spec.name}) does not give by itself'
                self.supply.fault((*path, "on"), text, hint="put the loss on a pass" if need in given else "")
        for quantity in required(wiring.observes):
            text = f'loss "{term.name}" compares with {quantity} of data, so it must be on a pass'
            self.supply.fault((*path, "on"), text, (), self.stage.passes)
        if head != "renderers":
            self.supply.check_capabilities(wiring, f'loss "{term.name}"', {self.supply.role_of(target): target}, path)

    def _term_on_pass(self, term: m.Term, active: _Pass, path: Place) -> None:
        wiring, who = term.loss.config.wiring(), f'loss "{term.name}"'
        active.want |= {q for need in wiring.needs if (q := need.removesuffix("?")) in active.predicted}
        for need in required(wiring.needs):
            if need in active.renderer.provides:
                self._require(active, active.renderer.provides[need], who)
            else:
                known = self.supply.registry.quantities()
                renderer = f'renderer "{active.table.renderer}" of pass "{active.name}"'
                text = f"{who} needs {need}, which {renderer} does not give"
                closest = () if need in known else nearest(need, known)
                self.supply.fault((*path, "on"), text, closest, hint=self.supply.givers("renderer", need))
        for quantity in required(wiring.observes):
            if quantity not in active.observed:
                text = f"{who} compares with {quantity}, which {active.supplier} does not give"
                self.supply.fault((*path, "on"), text, hint=self._other_data(active, quantity))
        self.supply.check_capabilities(wiring, who, active.roles, (*path, "type"))

    def _serve(self, spec: Spec, path: Place) -> set[str]:
        """Ask passes for what an update or a callback needs; return the passes that give something of it."""
        named = [getattr(spec.config, key) for key, info in options(type(spec.config)).items() if marker(info, Ref)]
        acted_on = {self.supply.role_of(name): name for name in named if name in self.supply.fields}
        roles = self.supply.roles(acted_on)
        self.supply.check_capabilities(spec.config.wiring(), f'{spec.kind} "{spec.short}"', roles, path)
        serving = set[str]()
        for need in spec.config.wiring().needs:
            quantity = need.removesuffix("?")
            able = [active for active in self.passes.values() if quantity in active.predicted]
            for active in able:
                active.want.add(quantity)
                serving.add(active.name)
            if not able and quantity == need:
                text = f'{spec.kind} "{spec.short}" needs {quantity}, which no pass of stage "{self.stage.name}" gives'
                self.supply.fault(path, text, hint=self.supply.givers("renderer", quantity))
        return serving

    # -- what is missing and what is idle ------------------------------------------------------------------------

    def _require(self, active: _Pass, needs: Iterable[str], who: str) -> None:
        """Note what is missing for quantities that fields must give."""
        for quantity, chain in active.lacks(needs).items():
            field = next((n for n in active.roles.values() if chain and chain[-1] in self._provided(n)), None)
            asker = f'renderer "{active.table.renderer}"' if field is None else f'field "{field}"'
            self._miss(active, quantity, asker, who)

    def _provided(self, field: str) -> Provided:
        return self.supply.fields[field].config.wiring().provides

    def _miss(self, active: _Pass, quantity: str, asker: str, who: str = "") -> None:
        purposes = self.missing.setdefault((active.name, quantity), {}).setdefault(asker, [])
        purposes += [who] if who not in ("", asker, *purposes) else []

    def _tell_missing(self) -> None:
        """Tell each missing quantity of a pass once, however many ask for it."""
        for (name, quantity), askers in self.missing.items():
            active = self.passes[name]
            asker, purposes = next(iter(askers.items()))
            reason = f"which {asker} needs" + (f" for {', '.join(purposes)}" if purposes else "")
            if quantity in self.supply.coordinates or quantity in {*active.renderer.observes}:
                text = f"{active.supplier} gives no {quantity}, {reason}"
                self.supply.fault((*active.path, "data"), text, hint=self._other_data(active, quantity))
            else:
                self.supply.tell_no_field(quantity, active.roles, reason, (*active.path, "renderer"))

    def _other_data(self, active: _Pass, quantity: str) -> str:
        """Say where a quantity that a batch lacks could come from."""
        hints = ["say time = 0.5 in the pass to fix one"] if quantity == "time" else []
        own = ""
        if active.source is None and active.table.data is not None:
            name = active.table.data.partition(".")[0]
            spec = self.supply.data[name]
            assert isinstance(spec.config, DataConfig)
            own = spec.name
            hints += [f'"{name}.{s}" gives {quantity}' for s, given in spec.config.sets().items() if quantity in given]
        kinds = "dataset|sampler" if active.source is None else "renderer"
        hints += [self.supply.givers(kinds, quantity, own), self.supply.givers("field", quantity)]
        return "; ".join(filter(None, hints))

    def _note_idle(self, serving: set[str]) -> None:
        name, trained = self.stage.name, " and ".join(self.stage.train)
        if self.stage.steps == 0:
            return
        if not self.stage.train:
            self.supply.fault((*self.path, "train"), f'stage "{name}" trains nothing', hint="steps = 0 skips a stage")
        elif not self.stage.losses and not serving:
            self.supply.fault(self.path, f'stage "{name}" trains {trained}, but has no losses', key=True)
        read = {active.source.name for active in self.passes.values() if active.source is not None}
        busy = {*serving, *read, *(target for term in self.stage.losses for target in term.on)}
        for idle in [p for p in self.passes if p not in busy]:
            self.supply.warnings.append(f'stage "{name}": pass "{idle}" feeds no loss and no other pass')

    def _note_lost_flow(self) -> None:
        """Tell of losses of a surface's images that do not move the surface: their gradient ends at its vertices.

        Those that move nothing else are refused under the update `gradient`; another may carry vertices on unsaid.
        """
        update = self.stage.update
        if any(need.removesuffix("?") == "vertices" for need in update.config.wiring().needs):
            return
        for index, term in enumerate(self.stage.losses):
            for active in (self.passes[n] for n in term.on if n in self.passes):
                sdf = active.roles.get("sdf", "")
                able = (*active.roles.values(), f"renderers.{active.table.renderer}")
                moved = [name for name in able if self._moves(name, active, term)]
                if "vertices" in active.predicted and sdf in moved:
                    text = (
                        f'loss "{term.name}" moves vertices of "{active.name}", which update "{update.short}" does not'
                        f' carry on to "{sdf}"'
                    )
                    if moved == [sdf] and update.name == "core/gradient":
                        self.supply.fault((*self.path, "losses", index), text, hint=self._other_update())
                    else:
                        self.supply.warnings.append(f'stage "{self.stage.name}": {text}')

    def _other_update(self) -> str:
        """Say which installed updates carry a gradient at vertices on to the field."""
        able = [c.name for c in self.supply.registry.components("update") if {"vertices", "vertices?"} & {*c.needs}]
        return f"updates that carry it on: {', '.join(able)}" if able else ""

    def _moves(self, name: str, active: _Pass, term: m.Term) -> bool:
        """Say whether the stage trains a field or a renderer, in this pass and by this term."""
        trained = any(_overlap(name, entry) for entry in self.stage.train) and name not in active.table.detach
        return trained and (term.to is None or name in term.to)


def _circle(reads: Mapping[str, str]) -> list[str]:
    """Return passes that read each other in turn; every one of `reads` leads to some."""
    walk = [next(iter(reads))]
    while reads[walk[-1]] not in walk:
        walk.append(reads[walk[-1]])
    return walk[walk.index(reads[walk[-1]]) :]


def _overlap(a: str, b: str) -> bool:
    """Say whether one of two targets is the other or a part of it."""
    return a == b or a.startswith(b + ".") or b.startswith(a + ".")
