"""What there is to know of a component, a quantity or a recipe, as plain data. Imports no torch."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from .config import ComponentConfig, DataConfig, FieldConfig, PathMark, Ref, Slot, Unit, Wiring, options
from .defaults import default_config, stand_in
from .errors import UserError
from .manifest import Component, Quantity
from .recipe.model import Recipe, dump
from .recipe.tables import marker
from .recipe.toml_writer import inline
from .recipe.words import expected
from .registry import NotFound, Registry
from .session import check
from .shipped import find_recipe, shipped_recipes
from .suggest import nearest

Facts = dict[str, Any]


def describe(registry: Registry, name: str) -> list[Facts]:
    """Return everything of that name: components ("name" or "owner/name"), a quantity, a recipe.

    Raises:
        UserError: nothing has that name; the message says what comes close, or which plugin would bring it.
    """
    found = [of_component(registry, c) for c in registry.components() if name in (c.name, c.full_name)]
    if name in registry.quantities():
        found.append(of_quantity(registry, registry.quantities()[name]))
    if name.endswith(".toml") or find_recipe(name):
        found.append(of_recipe(name))
    if not found:
        raise unknown(registry, name)
    return found


def unknown(registry: Registry, name: str) -> UserError:
    """Return the error that nothing is called so: with what comes close, or the plugin that would bring it."""
    components = [*registry.components()]
    try:
        registry.find("|".join({c.kind for c in components}), name)
    except NotFound as error:
        if error.plugin:
            return UserError(f"{name} is not installed; it comes with {error.plugin}: pip install {error.plugin}")
    known = {*registry.quantities(), *shipped_recipes(), *(n for c in components for n in (c.name, c.full_name))}
    close = nearest(name, sorted(known))
    hint = f"closest: {', '.join(close)}" if close else "`neuralfw list` shows all"
    return UserError(f"no component, quantity or recipe is called {name!r}; {hint}")


# -- components --------------------------------------------------------------------------------------------------


def of_component(registry: Registry, component: Component) -> Facts:
    """Return a component's origin, wiring at its defaults, options and a TOML block that sets them all."""
    config = default_config(registry, component)
    draw = config.Draw if isinstance(config, DataConfig) else None
    return {
        "sort": "component",
        "kind": component.kind,
        "name": component.full_name,
        "summary": component.summary,
        "plugin": component.plugin,
        "version": next(m.version for m in registry.manifests if m.plugin == component.plugin),
        "origin": origin(component.cls),
        **_own(config),
        **_wiring(config.wiring()),
        "options": [*option_facts(type(config), dump(config))],
        "pass_options": [*option_facts(draw, {})] if draw is not None else [],
        "toml": toml_block(component, config),
    }


def _own(config: ComponentConfig) -> Facts:
    """Return what only components of this kind have."""
    if isinstance(config, FieldConfig):
        return {"role": config.role, "capabilities": sorted(config.capabilities())}
    if isinstance(config, DataConfig):
        return {"sets": {name: [*quantities] for name, quantities in config.sets().items()}}
    return {}


def _wiring(wiring: Wiring) -> Facts:
    lists = {key: [*getattr(wiring, key)] for key in ("needs", "observes", "requires", "advises")}
    return {**lists, "provides": {quantity: [*needs] for quantity, needs in wiring.provides.items()}}


def option_facts(model: type[BaseModel], values: Mapping[str, Any]) -> Iterator[Facts]:
    """Yield each option of a model: key, type with its range, default, unit and text."""
    for key, info in options(model).items():
        slot, unit = marker(info, Slot), marker(info, Unit)
        required = info.is_required() and not (slot and slot.default)
        default = slot.default if slot else None if required else dump(values.get(key, info.default))
        yield {
            "key": key,
            "type": _type(info),
            "required": required,
            "default": default,
            "unit": unit.text if unit else None,
            "text": info.description or "",
        }


def _type(info: FieldInfo) -> str:
    slot, ref = marker(info, Slot), marker(info, Ref)
    if slot is not None:
        return f"a component: {slot.kinds.replace('|', ' or ')}"
    if ref is not None:
        what = "data table" if ref.table == "data" else "field"
        return f"the name of a {what}" + (f" of role {ref.role}" if ref.role else "")
    return expected(info)


def origin(target: str) -> str:
    """Return "file:line" of the class at an import path "module:name", without importing the module."""
    module, _, name = target.partition(":")
    try:
        spec = importlib.util.find_spec(module)
    except ImportError:
        spec = None
    if spec is None or spec.origin is None:
        return target
    text = Path(spec.origin).read_text(encoding="utf-8")
    match = re.search(rf"^class {re.escape(name)}\b", text, re.MULTILINE)
    return f"{spec.origin}:{text.count(chr(10), 0, match.start()) + 1}" if match else spec.origin


_PLACES = {
    "encoder": "[fields.sdf.encoder]",
    "renderer": "[renderers.main]",
    "integrator": "[renderers.advect.integrator]",
    "loss": "[[stages.losses]]",
    "callback": "[[stages.callbacks]]",
    "update": "[stages.update]",
    "mesher": "[export.mesher]",
}


def toml_block(component: Component, config: BaseModel) -> str:
    """Return the component as a table of a recipe, every option written out; what has no default holds a stand-in."""
    place = _PLACES.get(component.kind)
    if isinstance(config, FieldConfig):
        place = f"[fields.{config.role}]"
    elif isinstance(config, DataConfig):
        place = f"[data.{'points' if component.kind == 'dataset' else component.name}]"
    if place is None:
        return ""
    lines = [place, f'type = "{component.name}"']
    for key, info in options(type(config)).items():
        slot = marker(info, Slot)
        value = slot.default if slot else dump(getattr(config, key, stand_in(info)))
        if value is not None:
            lines.append(f"{key} = {inline(value)}")
    return "\n".join(lines) + "\n"


# -- quantities and recipes --------------------------------------------------------------------------------------


def of_quantity(registry: Registry, quantity: Quantity) -> Facts:
    """Return a quantity's shape, unit and text, and which components give and ask for it."""

    def those_that(key: str) -> list[str]:
        asked = {quantity.name, f"{quantity.name}?"}
        return [c.full_name for c in registry.components() if asked & {*getattr(c, key)}]

    return {
        "sort": "quantity",
        "name": quantity.name,
        "shape": quantity.shape,
        "dtype": quantity.dtype,
        "unit": quantity.unit,
        "summary": quantity.text,
        "provided_by": those_that("provides"),
        "needed_by": those_that("needs"),
        "observed_by": those_that("observes"),
    }


def inputs_of(recipe: Recipe) -> dict[str, Path]:
    """Return the files and folders that a recipe's data name, by their keys in the recipe."""
    return {
        f"data.{name}.{key}": path
        for name, spec in recipe.data.items()
        for key, info in options(type(spec.config)).items()
        if marker(info, PathMark) is not None and (path := getattr(spec.config, key)) is not None
    }


def of_recipe(name: str) -> Facts:
    """Return what a recipe says of itself: files, inputs, components and stages.

    Raises:
        RecipeError: it has faults.
    """
    checked = check(name)
    recipe = checked.recipe
    specs = {"data": recipe.data, "fields": recipe.fields, "renderers": recipe.renderers}
    return {
        "sort": "recipe",
        "name": recipe.name,
        "summary": recipe.summary,
        "files": [str(file) for file in checked.source.files],
        "inputs": {key: str(path) for key, path in inputs_of(recipe).items()},
        "components": {f"{table}.{n}": spec.name for table, named in specs.items() for n, spec in named.items()},
        "stages": {s.name: {"steps": s.steps, "losses": [t.name for t in s.losses]} for s in recipe.stages},
    }
