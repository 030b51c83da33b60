"""Checks that what each pass draws and predicts is what its losses need, before any data is read. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..config import DataConfig, FieldConfig, Spec, Wiring
from ..registry import Registry
from ..suggest import nearest
from . import model as m
from .faults import Fault, RecipeError
from .source import Source


@dataclass(frozen=True)
class PassPlan:
    """One pass, wired.

    Attributes:
        roles: the field that plays each role.
        observed: quantities of its batch.
        predicted: quantities that the renderer could give here.
        want: those that somebody asks for.
        source: the pass whose outputs are its batch, if it reads one.
    """

    name: str
    roles: Mapping[str, str]
    observed: frozenset[str]
    predicted: frozenset[str]
    want: frozenset[str]
    source: str | None


@dataclass(frozen=True)
class StagePlan:
    """The passes of a stage, in an order in which each comes after the pass it reads."""

    name: str
    passes: Mapping[str, PassPlan]


@dataclass
class Plan:
    """A wired recipe, with warnings about what is possible but unwise."""

    stages: list[StagePlan] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def wire(recipe: m.Recipe, source: Source, registry: Registry) -> Plan:
    """Wire a resolved recipe.

    Raises:
        RecipeError: naming each quantity that is missing, and which components would bring it.
    """
    plan, faults = Plan(), []
    for index, stage in enumerate(recipe.stages):
        wirer = _StageWirer(recipe, stage, ("stages", index), source, registry, plan.warnings)
        plan.stages.append(wirer.wire())
        faults += wirer.faults
    if faults:
        raise RecipeError(faults)
    return plan


def gaps(need: str, fields: Mapping[str, tuple[str, ...]], observed: frozenset[str]) -> set[str]:
    """Return the first causes for which a quantity cannot be had from the batch and the fields; empty if it can."""

    def lacks(quantity: str, asked: frozenset[str]) -> set[str]:
        if quantity not in fields or quantity in asked:
            return {quantity}
        inner = [n for n in fields[quantity] if not n.endswith("?") and n not in observed]
        return set().union(*(lacks(n, asked | {quantity}) for n in inner))

    return set() if need in observed else lacks(need, frozenset())


def output_gaps(
    quantity: str, renderer: Wiring, fields: Mapping[str, tuple[str, ...]], observed: frozenset[str]
) -> set[str]:
    """The same for an output of a renderer, whose needs come from the batch and the fields."""
    if quantity not in renderer.provides:
        return {quantity}
    needs = [n for n in renderer.provides[quantity] if not n.endswith("?")]
    return set().union(*(gaps(n, fields, observed) for n in needs))


class _StageWirer:
    def __init__(
        self, recipe: m.Recipe, stage: m.Stage, path: tuple[str | int, ...], source: Source, registry: Registry,
        warnings: list[str],
    ) -> None:  # fmt: skip
        self.recipe, self.stage, self.path = recipe, stage, path
        self.source, self.registry, self.warnings = source, registry, warnings
        self.faults: list[Fault] = []
        self.want: dict[str, set[str]] = {name: set() for name in stage.passes}

    def fault(self, path: tuple[str | int, ...], message: str, closest: Iterable[str] = (), hint: str = "") -> None:
        self.faults.append(Fault(self.source.origin(path), message, (), tuple(closest), hint))

    def wire(self) -> StagePlan:
        plans: dict[str, PassPlan] = {}
        for name in self.order():
            plans[name] = self.one_pass(name, plans)
        for index, term in enumerate(self.stage.losses):
            self.term(term, (*self.path, "losses", index), plans)
        for name in reversed(plans):
            self.ask_source(plans[name], plans)
        self.note_idle(plans)
        wanted = {n: PassPlan(p.name, p.roles, p.observed, p.predicted, frozenset(self.want[n]), p.source) for n, p in plans.items()}
        return StagePlan(self.stage.name, wanted)

    def order(self) -> list[str]:
        """Return the passes so that each comes after the one it reads."""
        done: list[str] = []
        pending = dict(self.stage.passes)
        while pending:
            ready = [n for n, p in pending.items() if p.data not in pending or p.data == n]
            if not ready:
                names = " and ".join(pending)
                self.fault((*self.path, "passes"), f"passes {names} read each other in a circle")
                return done
            done += ready
            pending = {n: p for n, p in pending.items() if n not in ready}
        return done

    def one_pass(self, name: str, plans: Mapping[str, PassPlan]) -> PassPlan:
        table, path = self.stage.passes[name], (*self.path, "passes", name)
        source = table.data if table.data in plans else None
        observed = self.observed(table, plans)
        roles = self.roles(table)
        renderer = self.recipe.renderers[table.renderer].config.wiring()
        fields = self.field_quantities(roles)
        for quantity in renderer.observes:
            if not quantity.endswith("?") and quantity not in observed:
                who = f'data "{table.data}"' if table.data else "a pass without data"
                self.fault(path, f'renderer "{table.renderer}" observes {quantity}, which {who} does not give', (),
                           self.providers("dataset|sampler", quantity))  # fmt: skip
        for need in renderer.needs:
            if not need.endswith("?") and (lacking := gaps(need, fields, observed)):
                self.missing(path, f'renderer "{table.renderer}"', need, lacking)
        self.capabilities(renderer, f'renderer "{table.renderer}"', roles, (*path, "renderer"))
        predicted = frozenset(q for q in renderer.provides if not output_gaps(q, renderer, fields, observed))
        return PassPlan(name, roles, observed, predicted, frozenset(), source)

    def observed(self, table: m.Pass, plans: Mapping[str, PassPlan]) -> frozenset[str]:
        fixed = {"time"} if table.time is not None else set()
        if table.data is None:
            return frozenset(fixed)
        if table.data in plans:
            read = plans[table.data]
            return read.observed | read.predicted | fixed
        head, _, chosen = table.data.partition(".")
        config = self.recipe.data[head].config
        assert isinstance(config, DataConfig)
        sets = config.sets()
        return frozenset(sets[chosen] if chosen else next(iter(sets.values()))) | fixed

    def roles(self, table: m.Pass) -> dict[str, str]:
        """Return which field plays each role: named by the pass, the only one, or the one called like its role."""
        roles: dict[str, list[str]] = {}
        for name, spec in self.recipe.fields.items():
            assert isinstance(spec.config, FieldConfig)
            roles.setdefault(spec.config.role, []).append(name)
        chosen = {r: names[0] if len(names) == 1 else r for r, names in roles.items() if len(names) == 1 or r in names}
        return {**chosen, **table.fields}

    def field_quantities(self, roles: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
        """Return what the fields of a pass give, each with what it needs."""
        given: dict[str, tuple[str, ...]] = {}
        for name in roles.values():
            given.update(self.recipe.fields[name].config.wiring().provides)
        return given

    def term(self, term: m.Term, path: tuple[str | int, ...], plans: Mapping[str, PassPlan]) -> None:
        wiring = term.loss.config.wiring()
        for target in term.on:
            if target in plans:
                self.term_on_pass(term, wiring, plans[target], path)
            else:
                spec = self.renderer_or_field(target)
                given = spec.config.wiring().provides if spec else {}
                for need in wiring.needs:
                    if not need.endswith("?") and (need not in given or given[need]):
                        self.fault(path, f'loss "{term.name}" needs {need}, which {target} alone does not give')

    def renderer_or_field(self, target: str) -> Spec | None:
        head, _, rest = target.partition(".")
        return self.recipe.renderers.get(rest) if head == "renderers" else self.recipe.fields.get(head)

    def term_on_pass(self, term: m.Term, wiring: Wiring, plan: PassPlan, path: tuple[str | int, ...]) -> None:
        table = self.stage.passes[plan.name]
        for need in wiring.needs:
            quantity = need.removesuffix("?")
            if quantity in plan.predicted:
                self.want[plan.name].add(quantity)
            elif not need.endswith("?") and quantity not in plan.observed:
                renderer = self.recipe.renderers[table.renderer].config.wiring()
                lacking = output_gaps(quantity, renderer, self.field_quantities(plan.roles), plan.observed)
                self.missing(path, f'loss "{term.name}" on pass "{plan.name}"', quantity, lacking)
        for quantity in wiring.observes:
            if quantity.endswith("?") or quantity in plan.observed:
                continue
            text = f'loss "{term.name}" compares with {quantity}, which data "{table.data}" does not give'
            self.fault(path, text, (), self.providers("dataset|sampler", quantity))
        self.capabilities(wiring, f'loss "{term.name}"', plan.roles, path)

    def ask_source(self, plan: PassPlan, plans: Mapping[str, PassPlan]) -> None:
        """Make the pass that is read predict what the reading pass takes from it."""
        if plan.source is None:
            return
        read = plans[plan.source]
        table = self.stage.passes[plan.name]
        wiring = self.recipe.renderers[table.renderer].config.wiring()
        taken = {q.removesuffix("?") for q in (*wiring.observes, *wiring.needs)}
        for needs in (*wiring.provides.values(), *self.field_quantities(plan.roles).values()):
            taken |= {q.removesuffix("?") for q in needs}
        for term in self.stage.losses:
            if plan.name in term.on:
                taken |= {q.removesuffix("?") for q in term.loss.config.wiring().observes}
        self.want[read.name] |= (taken & read.predicted) - (read.observed - read.predicted)

    def capabilities(self, wiring: Wiring, who: str, roles: Mapping[str, str], path: tuple[str | int, ...]) -> None:
        for fact in (*wiring.requires, *wiring.advises):
            role, _, capability = fact.partition(":")
            if role not in roles:
                continue
            spec = self.recipe.fields[roles[role]]
            assert isinstance(spec.config, FieldConfig)
            if capability in spec.config.capabilities():
                continue
            if fact in wiring.requires:
                fit = [c.full_name for c in self.registry.components("field") if c.role == role and capability in c.capabilities]
                self.fault(path, f'{who} requires a field that is "{capability}"; {spec.name} is not', (),
                           f"fields that are: {', '.join(fit) or 'none installed'}")  # fmt: skip
            else:
                self.warnings.append(f'{who} is meant for a field that is "{capability}"; {spec.name} as set here is not')

    def missing(self, path: tuple[str | int, ...], who: str, quantity: str, lacking: set[str]) -> None:
        known = self.registry.quantities()
        cause = sorted(lacking - {quantity})
        text = f"{who} needs {quantity}"
        text += f", which lacks {', '.join(cause)}" if cause else ", which nothing here provides"
        hints = [self.providers("field|renderer|dataset|sampler", gap) for gap in sorted(lacking)]
        closest = () if quantity in known else nearest(quantity, known)
        self.fault(path, text, closest, "; ".join(h for h in hints if h))

    def providers(self, kinds: str, quantity: str) -> str:
        names = [c.full_name for c in self.registry.components() if c.kind in kinds.split("|") and quantity in c.provides]
        return f"{quantity} comes from {', '.join(names)}" if names else ""

    def note_idle(self, plans: Mapping[str, PassPlan]) -> None:
        read = {p.source for p in plans.values()}
        used = {t for term in self.stage.losses for t in term.on}
        for name, plan in plans.items():
            if name not in used | read and not {"flow", "vertices"} & plan.predicted:
                self.warnings.append(f'stage "{self.stage.name}": pass "{name}" feeds no loss and no other pass')
