"""The verbs describe and schema."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from . import options as o
from .app import app
from .tables import columns, width, write, write_json


@app.command()
def describe(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A component, a quantity or a recipe.")],
    as_json: o.AsJson = False,
) -> None:
    """Say everything about a component, a quantity or a recipe: options, units, wiring, origin, and TOML to paste."""
    from ..describe import describe
    from ..registry import discover

    found = describe(discover(), name)
    if as_json:
        write_json(found)
        return
    texts = {"component": component_text, "quantity": quantity_text, "recipe": recipe_text}
    write("\n\n".join("\n".join(texts[facts["sort"]](facts)) for facts in found).split("\n"))


def component_text(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield a component's description."""
    role = f", role {facts['role']}" if "role" in facts else ""
    yield f"{facts['name']}: {facts['kind']}{role}"
    yield facts["summary"]
    yield f"from {facts['plugin']} {facts['version']}, {facts['origin']}"
    yield ""
    provides = [f"{q} ← {', '.join(n)}" if n else q for q, n in facts["provides"].items()]
    rows = [(key, ", ".join(facts[key])) for key in ("needs", "observes") if facts[key]]
    rows += [("provides", "; ".join(provides))] if provides else []
    rows += [(f"set {name}", ", ".join(quantities)) for name, quantities in facts.get("sets", {}).items()]
    rows += [(key, ", ".join(facts[key])) for key in ("capabilities", "requires", "advises") if facts.get(key)]
    yield from _wrapped(rows)
    for title, key in (("options", "options"), ("options of a pass that draws from it", "pass_options")):
        if facts[key]:
            yield from ("", title)
            yield from _options(facts[key])
    if facts["toml"]:
        yield from ("", "to paste into a recipe", "")
        yield from facts["toml"].splitlines()


def _options(options: list[Mapping[str, Any]]) -> list[str]:
    rows = []
    for option in options:
        default = "required" if option["required"] else "none" if option["default"] is None else _value(option["default"])
        unit = f" [{option['unit']}]" if option["unit"] else ""
        rows.append((option["key"], default, f"{option['text']}{unit}; {option['type']}"))
    return _wrapped(rows, "  ")


def _value(value: Any) -> str:
    from ..recipe.toml_writer import inline

    return inline(value)


def _wrapped(rows: list[tuple[str, ...]], indent: str = "") -> list[str]:
    """Return rows in columns, the last one wrapped to the width of the terminal."""
    lines = columns([(*row[:-1], "") for row in rows], indent)
    start = len(indent) + sum(max(len(r[i]) for r in rows) + 2 for i in range(len(rows[0]) - 1)) if rows else 0
    room = max(30, width() - start)
    found = []
    for row, line in zip(rows, lines, strict=True):
        first, *rest = textwrap.wrap(row[-1], room) or [""]
        found += [f"{line:<{start}}{first}".rstrip(), *(" " * start + part for part in rest)]
    return found


def quantity_text(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield a quantity's description."""
    yield f"{facts['name']}: quantity {facts['shape']} {facts['dtype']}, unit {facts['unit']}"
    yield facts["summary"]
    yield ""
    keys = ("provided_by", "needed_by", "observed_by")
    yield from _wrapped([(key.replace("_", " "), ", ".join(facts[key])) for key in keys if facts[key]])


def recipe_text(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield a recipe's description."""
    yield f"{facts['name']}: recipe"
    yield facts["summary"]
    yield " extends ".join(facts["files"])
    yield ""
    yield from columns(sorted({**facts["inputs"], **facts["components"]}.items()))
    yield ""
    yield from columns((f"stage {n}", str(s["steps"]), ", ".join(s["losses"])) for n, s in facts["stages"].items())
    yield ""
    yield f"the wiring: neuralfw check {facts['name']}"


@app.command()
def schema(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A component; default: a whole recipe.")] = None,
) -> None:
    """Print the JSON Schema of a component's table, or of a recipe over all installed components, for editors."""
    from ..describe import unknown
    from ..registry import discover
    from ..schema import component_schema, recipe_schema

    registry = discover()
    if name is None:
        write_json(recipe_schema(registry))
        return
    named = [component for component in registry.components() if name in (component.name, component.full_name)]
    if not named:
        raise unknown(registry, name)
    write_json(component_schema(registry, named[0]))
