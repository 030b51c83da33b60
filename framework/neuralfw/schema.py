"""JSON Schema (draft 2020-12) of components and of whole recipes, for editors. Imports no torch.

Where a table may be one of several, `anyOf` lists them for editors, which complete from it, and refuses nothing. What
decides is `if` and `then`, by the type of the table: a validator names the key that is wrong, not all that would fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter

from . import config as c
from .manifest import KINDS, Component
from .recipe import model as m
from .recipe.tables import marker
from .recipe.words import types
from .registry import Registry
from .schedules import SCHEDULES, Scheduled

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TABLES = (m.Pass, m.Term, m.Event, m.Stage)


def component_schema(registry: Registry, component: Component) -> Schema:
    """Return the schema of a component's table, with those of the components that may stand in its options."""
    return _whole(registry, f"neuralfw {component.kind} {component.full_name}", _component(registry, component))


def recipe_schema(registry: Registry) -> Schema:
    """Return the schema of a recipe over all installed components.

    What extends another recipe may leave anything out, so no table is required.
    """
    body = _model(m.Recipe, skip=("data", "fields", "renderers", "stages"))
    body["properties"] |= {
        "extends": {"type": "string", "description": "recipe that this one changes: a file, or a shipped recipe"},
        "data": _named(_ref("data")),
        "fields": _named(_ref("field")),
        "renderers": _named(_ref("renderer")),
        "stages": {"type": "array", "items": _stage(registry)},
    }
    return _whole(registry, "neuralfw recipe", {**body, "required": []})


def _whole(registry: Registry, title: str, body: Schema) -> Schema:
    """Return a schema with the definitions that it refers to, directly or not."""
    available = _choice("schedule", SCHEDULES) | _choice("optimiser", c.OPTIMISERS, default="adam")
    available["data"] = _any_of_kinds(registry, "dataset", "sampler")
    available |= _entries(registry, "loss", m.Term) | _entries(registry, "callback", m.Event)
    for kind in KINDS:
        available[kind] = _any_of_kinds(registry, kind)
        available |= {_label(one): _component(registry, one) for one in registry.components(kind)}
    used: dict[str, Schema] = {}
    pending = [body]
    while pending:
        for name in _references(pending.pop()):
            if name not in used:
                used[name] = available[name]
                pending.append(available[name])
    return {"$schema": _DIALECT, "title": title, **body, **({"$defs": dict(sorted(used.items()))} if used else {})}


def _references(node: Any) -> Iterable[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from [value.removeprefix("#/$defs/")] if key == "$ref" else _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _label(component: Component) -> str:
    return f"{component.kind}.{component.full_name}".replace("/", ".")


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _named(item: Schema) -> Schema:
    return {"type": "object", "additionalProperties": item}


def _names(components: Iterable[Component]) -> list[str]:
    return sorted({name for one in components for name in (one.name, one.full_name)})


def _either(condition: Schema, then: Schema, otherwise: Schema) -> Schema:
    """Return the schema that is `then` for what meets a condition, and else `otherwise`."""
    return {"anyOf": [then, otherwise, {}], "if": condition, "then": then, "else": otherwise}


def _by_type(tables: Sequence[tuple[list[str], Schema]], *, untyped: Schema, bare: bool = True) -> Schema:
    """Return the schema of a place for one of several tables.

    Args:
        tables: with the types that each may have.
        untyped: what a table without a type must be.
        bare: whether the type alone may stand for its table.
    """
    names = [name for types, _ in tables for name in types]
    known: Schema = {"enum": names} if names else {"not": {}}
    typed = {"type": "object", "required": ["type"]}
    return {
        "anyOf": [*([known] if bare else []), *(table for _, table in tables), {}],
        "allOf": [{"if": {**typed, "properties": {"type": {"enum": own}}}, "then": table} for own, table in tables],
        "if": {"type": "object"},
        "then": {"if": {"required": ["type"]}, "then": {"properties": {"type": known}}, "else": untyped},
        "else": known if bare else {"type": "object"},
    }


def _any_of_kinds(registry: Registry, *kinds: str) -> Schema:
    """Return the schema of a place for a component: its name, its table, or a table that changes the one it extends."""
    components = [one for kind in kinds for one in registry.components(kind)]
    return _by_type([(_names([one]), _ref(_label(one))) for one in components], untyped={})


def _component(registry: Registry, component: Component, envelope: Schema | None = None) -> Schema:
    body = _model(registry.config(component))
    body["properties"] = {"type": {"enum": _names([component])}, **body["properties"], **(envelope or {})}
    return {**body, "description": component.summary, "required": ["type", *body["required"]]}


def _model(cls: type[BaseModel], skip: Iterable[str] = ()) -> Schema:
    """Return the schema of a table's own options."""
    known = {key: info for key, info in c.options(cls).items() if key not in skip}
    required = [k for k, i in known.items() if i.is_required() and not ((slot := marker(i, c.Slot)) and slot.default)]
    return {
        "type": "object",
        "properties": {key: _option(info) for key, info in known.items()},
        "required": required,
        "additionalProperties": False,
    }


def _option(info: Any) -> Schema:
    slot, scheduled, unit = marker(info, c.Slot), marker(info, Scheduled), marker(info, c.Unit)
    text = " ".join([*([info.description] if info.description else []), *([f"[{unit.text}]"] if unit else [])])
    facts: Schema = {"description": text} if text else {}
    if slot is not None:
        place = _ref(slot.kinds)
        return {**_either({}, place, {}), **facts, **({"default": slot.default} if slot.default else {})}
    if not info.is_required() and (default := m.dump(info.get_default(call_default_factory=True))) is not None:
        facts["default"] = default
    if scheduled is not None:
        return {**_either({"type": "object"}, _ref("schedule"), _bounded(scheduled)), **facts}
    nested = _nested(info.annotation)
    return {**(nested or _plain(info)), **facts}


def _bounded(scheduled: Scheduled) -> Schema:
    names = {"gt": "exclusiveMinimum", "ge": "minimum", "le": "maximum"}
    limits = {word: getattr(scheduled, side) for side, word in names.items() if getattr(scheduled, side) is not None}
    return {"type": "number", **limits}


def _nested(annotation: Any) -> Schema | None:
    tables = [t for t in types(annotation) if isinstance(t, type) and issubclass(t, m.Table) and t not in _TABLES]
    return {**_model(tables[0]), "required": []} if tables else None


def _plain(info: Any) -> Schema:
    annotation: Any = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
    schema: Schema = TypeAdapter(annotation).json_schema()
    alternatives = [part for part in schema.get("anyOf", ()) if part != {"type": "null"}]
    if len(alternatives) == 1:
        return dict(alternatives[0])
    return {**schema, "anyOf": alternatives} if alternatives else schema


def _choice(what: str, named: Mapping[str, type[BaseModel]], default: str | None = None) -> dict[str, Schema]:
    """Return the definition of a table whose `type` says which of several models it is, and those of the models."""
    tables = {}
    for name, cls in named.items():
        body = _model(cls)
        required = [key for key in body["required"] if key != "type"]
        body["properties"]["type"] = {"enum": [name]}
        tables[f"{what}.{name}"] = {**body, "required": required}
    untyped = {"required": ["type"]} if default is None else _ref(f"{what}.{default}")
    return {what: _by_type([([name], _ref(f"{what}.{name}")) for name in named], untyped=untyped, bare=False), **tables}


# -- stages ------------------------------------------------------------------------------------------------------


def _stage(registry: Registry) -> Schema:
    body = _model(m.Stage, skip=("train", "passes", "losses", "callbacks"))
    dropped = {"properties": {"remove": {"type": "boolean"}}, "additionalProperties": False}
    trained = _either({"required": ["remove"]}, dropped, _ref("optimiser"))
    body["properties"] |= {
        "train": _either({"type": "array"}, {"items": {"type": "string"}}, _named(trained)),
        "passes": _named(_pass(registry)),
        "losses": {"type": "array", "items": _ref("stage.loss")},
        "callbacks": {"type": "array", "items": _ref("stage.callback")},
        "before": {"type": "string", "description": "stage of the extended recipe before which this one is put"},
        "remove": {"type": "boolean", "description": "drop the stage of this name from the extended recipe"},
    }
    return {**body, "required": []}


def _pass(registry: Registry) -> Schema:
    """Return the schema of a pass: its own keys, and the drawing options of every data component."""
    body = _model(m.Pass, skip=("draw",))
    body["properties"]["remove"] = {"type": "boolean", "description": "drop the pass of this name"}
    for component in (*registry.components("dataset"), *registry.components("sampler")):
        config = registry.config(component)
        assert issubclass(config, c.DataConfig)
        for key, info in c.options(config.Draw).items():
            known = body["properties"].get(key)
            body["properties"][key] = _option(info) if known is None else {"anyOf": [known, _option(info)]}
    return body


def _entries(registry: Registry, kind: str, envelope: type[m.Term] | type[m.Event]) -> dict[str, Schema]:
    """Return the definition of a loss or callback in a stage, and of each: its options beside its place."""
    own = {**_model(envelope, skip=(kind,))["properties"], "remove": {"type": "boolean"}}
    if envelope is m.Term:
        own |= {key: {"anyOf": [own[key], {"type": "string"}]} for key in ("on", "to")}
    tables = {f"stage.{_label(one)}": (one, _component(registry, one, own)) for one in registry.components(kind)}
    cases = [(_names([one]), _ref(label)) for label, (one, _) in tables.items()]
    place = _by_type(cases, untyped={"required": ["name"]})
    return {f"stage.{kind}": place, **{label: table for label, (_, table) in tables.items()}}
