"""JSON Schema (draft 2020-12) of components and of whole recipes, for editors. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
        "data": _named(_ref("dataset"), _ref("sampler")),
        "fields": _named(_ref("field")),
        "renderers": _named(_ref("renderer")),
        "stages": {"type": "array", "items": _stage(registry)},
    }
    return _whole(registry, "neuralfw recipe", {**body, "required": []})


def _whole(registry: Registry, title: str, body: Schema) -> Schema:
    """Return a schema with the definitions that it refers to, directly or not."""
    available: dict[str, Schema] = {"schedule": _choice(SCHEDULES), "optimiser": _choice(c.OPTIMISERS, default="adam")}
    for kind in KINDS:
        available[kind] = _any_of_kind(registry, kind)
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


def _named(*kinds: Schema) -> Schema:
    return {"type": "object", "additionalProperties": kinds[0] if len(kinds) == 1 else {"anyOf": [*kinds]}}


def _names(components: Iterable[Component]) -> list[str]:
    return sorted({name for one in components for name in (one.name, one.full_name)})


def _any_of_kind(registry: Registry, kind: str) -> Schema:
    """Return the schema of a place for a component: its name, its table, or a table that changes the one it extends."""
    components = [*registry.components(kind)]
    unchanged = {"type": "object", "not": {"required": ["type"]}}
    tables = [_ref(_label(one)) for one in components]
    return {"anyOf": [*([{"enum": _names(components)}] if components else []), *tables, unchanged]}


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
        kinds = [_ref(kind) for kind in slot.kinds.split("|")]
        return {"anyOf": kinds, **facts, **({"default": slot.default} if slot.default else {})}
    if not info.is_required() and (default := m.dump(info.get_default(call_default_factory=True))) is not None:
        facts["default"] = default
    if scheduled is not None:
        return {"anyOf": [_bounded(scheduled), _ref("schedule")], **facts}
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


def _choice(named: Mapping[str, type[BaseModel]], default: str | None = None) -> Schema:
    """Return the schema of a table whose `type` says which of several models it is."""
    tables = []
    for name, cls in named.items():
        body = _model(cls)
        body["properties"] = {**body["properties"], "type": {"const": name}}
        required = [key for key in body["required"] if key != "type"]
        tables.append({**body, "required": required if name == default else ["type", *required]})
    return {"anyOf": tables}


# -- stages ------------------------------------------------------------------------------------------------------


def _stage(registry: Registry) -> Schema:
    body = _model(m.Stage, skip=("train", "passes", "losses", "callbacks"))
    body["properties"] |= {
        "train": {"anyOf": [{"type": "array", "items": {"type": "string"}}, _named(_ref("optimiser"))]},
        "passes": _named(_pass(registry)),
        "losses": {"type": "array", "items": _entry(registry, "loss", m.Term)},
        "callbacks": {"type": "array", "items": _entry(registry, "callback", m.Event)},
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


def _entry(registry: Registry, kind: str, envelope: type[m.Term] | type[m.Event]) -> Schema:
    """Return the schema of a loss or callback in a stage: the component's options beside its place."""
    own = {**_model(envelope, skip=(kind,))["properties"], "remove": {"type": "boolean"}}
    if envelope is m.Term:
        own |= {key: {"anyOf": [own[key], {"type": "string"}]} for key in ("on", "to")}
    components = [*registry.components(kind)]
    unchanged = {"type": "object", "required": ["name"], "not": {"required": ["type"]}}
    tables = [_component(registry, one, envelope=own) for one in components]
    return {"anyOf": [*([{"enum": _names(components)}] if components else []), *tables, unchanged]}
