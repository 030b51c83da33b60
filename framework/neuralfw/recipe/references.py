"""Checks what tables of a recipe call by name: fields, data, renderers, clocks; and that nothing goes in a circle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..config import FieldConfig, Ref
from ..registry import Ambiguous, NotFound
from ..suggest import nearest
from .tables import Place, Tables
from .words import listed


def check_references(tables: Tables) -> bool:
    """Check every option that names a field or data table, and every clock, found so far; say whether all are right."""
    before = len(tables.faults)
    sound = [(name, ref, path) for name, ref, path in tables.references if refer(tables, name, ref, path)]
    for table in ("data", "fields"):
        _refuse_circles(tables, table, sound)
    for clock, path in tables.clocks:
        _check_clock(tables, clock, path)
    return len(tables.faults) == before


def refer(tables: Tables, name: str, ref: Ref, path: Place, *, key: bool = False) -> bool:
    """Check that a name, up to its first dot, is that of a field (of a role) or data table; say whether it is."""
    table, what = ("data", "data table") if ref.table == "data" else ("fields", "field")
    head = name.partition(".")[0]
    spec = tables.specs[table].get(head)
    if head not in tables.names(table):
        known = [other for other in tables.names(table) if (table, other) != path[:2]]
        tables.fault(path, f'there is no {what} "{head}" in this recipe', nearest(head, known), known, key=key)
    elif ref.role and spec is not None and (role := _role(spec.config)) != ref.role:
        fit = [n for n, s in tables.specs[table].items() if _role(s.config) == ref.role]
        hint = "" if fit else f"no field of this recipe has the role {ref.role}"
        text = f'field "{head}" has the role {role}; expected one of role {ref.role}'
        tables.fault(path, text, (), fit, hint, key=key)
    else:
        return True
    return False


def refer_to_target(tables: Tables, target: str, path: Place, *, key: bool = False) -> None:
    """Check what can be trained or held: "field", "field.parameter" or "renderers.name"."""
    head, _, rest = target.partition(".")
    if head != "renderers":
        refer(tables, target, Ref("field"), path, key=key)
        return
    name, known = rest.partition(".")[0], tables.names("renderers")
    if name not in known:
        closest = [f"renderers.{other}" for other in nearest(name, known)]
        tables.fault(path, f'there is no renderer "{name}" in this recipe', closest, known, key=key)


def refer_to_renderer(tables: Tables, name: str, path: Place) -> None:
    """Check that there is a table of renderers of this name, or a type, which then joins with its defaults."""
    if name in tables.names("renderers"):
        return
    try:
        tables.registry.find("renderer", name)
    except NotFound as error:
        pool = list(dict.fromkeys([*tables.names("renderers"), *error.available]))
        text = f'there is no table [renderers.{name}] and no renderer "{name}"'
        tables.fault(path, text, nearest(name, pool), pool, tables.remedy(error))
        return
    except Ambiguous:
        pass
    before = len(tables.faults)
    spec = tables.component("renderer", name, ("renderers", name))
    origin = tables.source.value_origin(path)
    tables.faults[before:] = [replace(fault, origin=origin) for fault in tables.faults[before:]]
    if spec is not None:
        tables.specs["renderers"][name] = spec


def _role(config: Any) -> str | None:
    return config.role if isinstance(config, FieldConfig) else None


def _refuse_circles(tables: Tables, table: str, references: list[tuple[str, Ref, Place]]) -> None:
    """Refuse fields that are made of each other, and data tables that read each other."""
    uses = {
        (str(path[1]), name.partition(".")[0]): path
        for name, ref, path in references
        if path[0] == table and (ref.table == "data") == (table == "data")
    }
    while ends := {used for _, used in uses} - {user for user, _ in uses}:
        uses = {use: path for use, path in uses.items() if use[1] not in ends}
    if uses:
        names = sorted({user for user, _ in uses})
        tables.fault(next(iter(uses.values())), f"{table} {listed(names)} refer to each other in a circle")


def _check_clock(tables: Tables, clock: str, path: Place) -> None:
    stages = tables.node(("stages",))
    stages = stages if isinstance(stages, list) else []
    inside = stages[path[1]] if path[0] == "stages" and isinstance(path[1], int) else None
    passes = [s.get("passes") for s in ([inside] if inside else stages) if isinstance(s, dict)]
    own = ["own"] if "train" in path else []
    known = ["stage", "run", *own, *(name for p in passes if isinstance(p, dict) for name in p)]
    if clock not in known:
        text = f'{tables.called(path)}: there is no clock "{clock}" here'
        tables.fault(path, text, nearest(clock, known), dict.fromkeys(known))
