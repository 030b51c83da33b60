"""Which component may stand in for which in a recipe. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from .config import FieldConfig, Ref, Slot, Spec, options
from .defaults import stand_in
from .errors import UserError
from .manifest import Component
from .recipe.faults import RecipeError
from .recipe.model import ExportTable, Recipe, Stage
from .recipe.resolve import resolve
from .recipe.source import load
from .recipe.tables import marker
from .recipe.toml_writer import inline
from .recipe.wiring import wire
from .session import Checked
from .shipped import find_recipe, shipped_recipes


@dataclass(frozen=True)
class Place:
    """A place of a recipe where a component stands.

    Attributes:
        path: the key, as after `--set`; assigning another name to it swaps the component.
        kinds: kinds that may stand there.
        name: full name of what stands there now.
    """

    path: str
    kinds: str
    name: str


@dataclass
class Fit:
    """A component tried in a place.

    Attributes:
        reason: why it does not fit; empty if it does.
        needs: options that must be given with it.
        notes: what is dropped and what is unwise.
    """

    place: Place
    name: str
    reason: str = ""
    needs: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def change(self) -> str:
        """The override that makes the swap."""
        return f"{self.place.path}={self.name}"


def places(checked: Checked) -> Iterator[Place]:
    """Yield every place of a recipe where a component stands."""
    recipe = checked.recipe
    written = checked.source.tree
    for table, kinds, named in (("data", "dataset|sampler", recipe.data), ("fields", "field", recipe.fields)):
        for name, spec in named.items():
            yield from _within(f"{table}.{_key(name)}", kinds, spec)
    for name, spec in recipe.renderers.items():
        if name in written.get("renderers", {}):
            yield from _within(f"renderers.{_key(name)}", "renderer", spec)
    for stage in recipe.stages:
        yield from _in_stage(stage, recipe, written)
    if recipe.export is not None:
        slot = marker(options(ExportTable)["mesher"], Slot)
        yield from _within("export.mesher", slot.kinds, recipe.export.mesher)


def _in_stage(stage: Stage, recipe: Recipe, written: dict[str, Any]) -> Iterator[Place]:
    path = f"stages.{_key(stage.name)}"
    for name, table in stage.passes.items():
        if table.renderer not in written.get("renderers", {}):
            spec = recipe.renderers[table.renderer]
            yield Place(f"{path}.passes.{_key(name)}.renderer", "renderer", spec.name)
    for term in stage.losses:
        yield from _within(f"{path}.losses.{_key(term.name)}", "loss", term.loss)
    for event in stage.callbacks:
        yield from _within(f"{path}.callbacks.{_key(event.name)}", "callback", event.callback)
    yield from _within(f"{path}.update", "update", stage.update)


def _within(path: str, kinds: str, spec: Spec) -> Iterator[Place]:
    yield Place(f"{path}.type", kinds, spec.name)
    for key, info in options(type(spec.config)).items():
        slot, value = marker(info, Slot), getattr(spec.config, key)
        if slot is not None and isinstance(value, Spec):
            yield from _within(f"{path}.{key}", slot.kinds, value)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[\w-]+", name) else f'"{name}"'


def fits(checked: Checked, path: str, overrides: Sequence[str] = ()) -> Iterator[Fit]:
    """Try every other installed component in every place of a recipe: it is read, resolved and wired anew each time."""
    for place in places(checked):
        for component in checked.registry.components():
            if component.kind in place.kinds.split("|") and component.full_name != place.name:
                yield _tried(checked, path, overrides, place, component)


def _tried(checked: Checked, path: str, overrides: Sequence[str], place: Place, component: Component) -> Fit:
    tried = attempt(checked, path, overrides, [(place, component)])
    return Fit(place, component.full_name, tried.reason, tried.needs, tried.notes)


@dataclass
class Attempt:
    """A recipe with components exchanged, read, resolved and wired.

    Attributes:
        overrides: the exchanges, and a value for each option that has to be given with them.
        reason: why it does not fit; empty if it does.
        needs: options that must be given.
        notes: what is dropped and what is unwise.
    """

    overrides: list[str]
    reason: str = ""
    needs: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def attempt(
    checked: Checked,
    path: str,
    overrides: Sequence[str],
    swaps: Sequence[tuple[Place, Component]],
    more: Sequence[str] = (),
) -> Attempt:
    """Try components in places of a recipe, all at once, and `more` overrides with them."""
    changes = [*(f"{place.path}={component.full_name}" for place, component in swaps), *more]
    tried = Attempt(changes)
    for _ in range(2):
        source = load(path, [*overrides, *tried.overrides], find=find_recipe, names=shipped_recipes())
        given: list[str] = []
        try:
            recipe, notes = resolve(source, checked.registry)
            tried.notes = [*notes, *wire(recipe, source, checked.registry).warnings]
        except RecipeError as error:
            lacking = [match[1] for fault in error.faults if (match := _LACKS.search(fault.message))]
            tried.needs = tried.needs or lacking
            given = [text for swap in swaps for text in _examples(checked, *swap, lacking)]
            tried.reason = error.faults[0].message
        except UserError as error:
            tried.reason = str(error)
        else:
            tried.reason = ""
        if not given:
            break
        tried.overrides = [*changes, *given]
    return tried


_LACKS = re.compile(r'lacks the key "([^"]+)"')


def _examples(checked: Checked, place: Place, component: Component, keys: Iterable[str]) -> Iterator[str]:
    """Yield overrides that give a value to options without default, so that the rest can be judged."""
    base, recipe = place.path.removesuffix(".type"), checked.recipe
    known = options(checked.registry.config(component))
    for key in keys:
        if key in known:
            ref = marker(known[key], Ref)
            yield f"{base}.{key}={inline(_named(recipe, ref) if ref else stand_in(known[key]))}"


def _named(recipe: Recipe, ref: Ref) -> str:
    """Return the first name of a recipe that an option may refer to."""
    if ref.table == "data":
        return next(iter(recipe.data))
    of_role = (n for n, s in recipe.fields.items() if isinstance(s.config, FieldConfig) and s.config.role == ref.role)
    return next(of_role, next(iter(recipe.fields)))
