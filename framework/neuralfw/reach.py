"""Which terms of a stage give a gradient to what it trains, as far as the wiring tells. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from .config import Ref, Spec, options
from .recipe.model import Recipe, Stage, Term
from .recipe.tables import marker
from .recipe.wiring import StagePlan
from .session import Checked


@dataclass(frozen=True)
class Reach:
    """The dependencies of a wired stage; `coordinates` are the quantities that fields take from a batch."""

    recipe: Recipe
    stage: Stage
    plan: StagePlan
    coordinates: frozenset[str]

    def trained_by(self) -> dict[str, list[str]]:
        """Return, for each entry of the stage's `train`, the names of the terms whose gradient reaches it."""
        reached = {term.name: self._of_term(term) for term in self.stage.losses}
        return {
            entry: [t.name for t in self.stage.losses if _owner(entry) in reached[t.name] and _receives(entry, t)]
            for entry in self.stage.train
        }

    def fields_of(self, name: str) -> list[str]:
        """Return the fields that give a pass what it is asked for, itself or through the passes it reads."""
        found = set().union(*(self._of_output(name, quantity) for quantity in self.plan.passes[name].want))
        return [field for field in self.recipe.fields if field in found]

    def _of_term(self, term: Term) -> set[str]:
        found: set[str] = set()
        for target in term.on:
            if target not in self.plan.passes:
                found |= {_owner(target)} | (self._made_of(target) if target in self.recipe.fields else set())
                continue
            needs = {need.removesuffix("?") for need in term.loss.config.wiring().needs}
            for need in needs & self.plan.passes[target].predicted:
                found |= self._of_output(target, need) - {*self.stage.passes[target].detach}
        return found

    def _of_output(self, name: str, quantity: str) -> set[str]:
        """Return the fields and renderers that an output of a pass depends on."""
        table, wired = self.stage.passes[name], self.plan.passes[name]
        found = {f"renderers.{table.renderer}"}
        pending = [*self.recipe.renderers[table.renderer].config.wiring().provides.get(quantity, ())]
        seen: set[str] = set()
        while pending:
            need = pending.pop().removesuffix("?")
            if need in seen:
                continue
            seen.add(need)
            providers = {f: p[need] for f in wired.roles.values() if need in (p := self._provides(f))}
            if need in wired.observed and (need in self.coordinates or not providers):
                found |= self._of_source(wired.source, need)
                continue
            for field, needs in providers.items():
                found |= {field} | self._made_of(field)
                pending += needs
        return found

    def _of_source(self, source: str | None, quantity: str) -> set[str]:
        if source is None or quantity not in self.plan.passes[source].predicted:
            return set()
        return self._of_output(source, quantity) - {*self.stage.passes[source].detach}

    def _provides(self, field: str) -> dict[str, tuple[str, ...]]:
        return dict(self.recipe.fields[field].config.wiring().provides)

    def _made_of(self, field: str) -> set[str]:
        """Return the fields that a field names in its options, and those that they name."""
        found: set[str] = set()
        pending: list[Spec] = [self.recipe.fields[field]]
        while pending:
            config = pending.pop().config
            for key, info in options(type(config)).items():
                value, ref = getattr(config, key), marker(info, Ref)
                if isinstance(value, Spec):
                    pending.append(value)
                elif ref is not None and ref.table == "field" and value is not None and value not in found:
                    found.add(value)
                    pending.append(self.recipe.fields[value])
        return found


def reaches(checked: Checked) -> list[Reach]:
    """Return the dependencies of each stage of a recipe."""
    coordinates = frozenset(q.name for q in checked.registry.quantities().values() if q.coordinate)
    pairs = zip(checked.recipe.stages, checked.plan.stages, strict=True)
    return [Reach(checked.recipe, stage, plan, coordinates) for stage, plan in pairs]


def _owner(entry: str) -> str:
    parts = entry.split(".")
    return ".".join(parts[:2]) if parts[0] == "renderers" else parts[0]


def _receives(entry: str, term: Term) -> bool:
    return term.to is None or any(f"{entry}.".startswith(f"{t}.") or f"{t}.".startswith(f"{entry}.") for t in term.to)
