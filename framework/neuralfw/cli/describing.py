"""The verbs describe and schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from ..columns import columns, wrapped
from . import options as o
from .app import app
from .tables import write, write_json


@app.command()
def describe(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A component, a quantity or a recipe.")],
    as_json: o.AsJson = False,
) -> None:
    """Describe a component, a quantity or a recipe.

    A component: options with range and unit, wiring, origin, and a block of TOML to paste.
    """
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
    yield from wrapped(rows)
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
        unit = f" [{option['unit']}]" if option["unit"] else ""
        rows.append((option["key"], _default(option), f"{option['text']}{unit}; {option['type']}"))
    return wrapped(rows, "  ")


def _default(option: Mapping[str, Any]) -> str:
    from ..recipe.toml_writer import inline

    if option["required"]:
        return "required"
    return "none" if option["default"] is None else inline(option["default"])


def quantity_text(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield a quantity's description."""
    yield f"{facts['name']}: quantity {facts['shape']} {facts['dtype']}, unit {facts['unit']}"
    yield facts["summary"]
    yield ""
    keys = ("provided_by", "needed_by", "observed_by")
    yield from wrapped([(key.replace("_", " "), ", ".join(facts[key])) for key in keys if facts[key]])


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
    """Print the JSON Schema of a component or of a recipe, for editors.

    That of a recipe covers all installed components.
    """
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
