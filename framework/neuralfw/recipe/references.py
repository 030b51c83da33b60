"""Checks what tables of a recipe call by name: fields, data, renderers, clocks; and that nothing goes in a circle."""

from __future__ import annotations

from typing import Any

from ..config import FieldConfig, Ref
from ..registry import NotFound
from ..suggest import nearest
from .tables import Place, Tables
from .words import listed


def check_references(tables: Tables) -> None:
    """Check every option that names a field or data table, and every clock of a schedule, found so far."""
    for name, ref, path in tables.references:
        refer(tables, name, ref, path)
    _refuse_circles(tables)
    for clock, path in tables.clocks:
        _check_clock(tables, clock, path)


def refer(tables: Tables, name: str, ref: Ref, path: Place) -> None:
    """Check that a name, up to its first dot, is that of a field (of a role) or data table."""
    table, what = ("data", "data table") if ref.table == "data" else ("fields", "field")
    head = name.partition(".")[0]
    known = tables.names(table)
    spec = tables.specs[table].get(head)
    if head not in known:
        tables.fault(path, f'there is no {what} "{head}" in this recipe', nearest(head, known), known)
    elif ref.role and spec is not None and (role := _role(spec.config)) != ref.role:
        fit = [n for n, s in tables.specs[table].items() if _role(s.config) == ref.role]
        hint = "" if fit else f"no field of this recipe has the role {ref.role}"
        tables.fault(path, f'field "{head}" has the role {role}; expected one of role {ref.role}', (), fit, hint)


def refer_to_target(tables: Tables, target: str, path: Place) -> None:
    """Check what can be trained or held: "field", "field.parameter" or "renderers.name"."""
    head, _, rest = target.partition(".")
    if head != "renderers":
        refer(tables, target, Ref("field"), path)
        return
    name, known = rest.partition(".")[0], tables.names("renderers")
    if name not in known:
        closest = [f"renderers.{other}" for other in nearest(name, known)]
        tables.fault(path, f'there is no renderer "{name}" in this recipe', closest, known)


def refer_to_renderer(tables: Tables, name: str, path: Place) -> None:
    """Check that there is a table of renderers of this name, or a type, which then joins with its defaults."""
    if name in tables.names("renderers"):
        return
    try:
        tables.registry.find("renderer", name)
    except NotFound as error:
        pool = [*tables.names("renderers"), *error.available]
        text = f'there is no table [renderers.{name}] and no renderer "{name}"'
        tables.fault(path, text, nearest(name, pool), pool, tables.remedy(error))
        return
    spec = tables.component("renderer", name, ("renderers", name))
    if spec is not None:
        tables.specs["renderers"][name] = spec


def _role(config: Any) -> str | None:
    return config.role if isinstance(config, FieldConfig) else None


def _refuse_circles(tables: Tables) -> None:
    """Refuse fields that are made of each other, and data tables that read each other."""
    for table in ("data", "fields"):
        uses: dict[str, dict[str, Place]] = {}
        for name, ref, path in tables.references:
            if path[0] == table and (ref.table == "data") == (table == "data"):
                uses.setdefault(str(path[1]), {})[name.partition(".")[0]] = path
        while used := {name: others for name, others in uses.items() if others}:
            if not (free := {other for others in used.values() for other in others} - used.keys()):
                circle = sorted(used)
                path = next(iter(used[circle[0]].values()))
                tables.fault(path, f"{table} {listed(circle)} refer to each other in a circle")
                break
            uses = {name: {o: p for o, p in others.items() if o not in free} for name, others in used.items()}


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
