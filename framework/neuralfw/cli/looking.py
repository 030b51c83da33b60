"""The verbs that look without training: check and list."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o
from .app import app
from .tables import columns, write, write_json


@app.command()
def check(recipe: o.Recipe, overrides: o.Overrides = None, exclude: o.Excluded = None) -> None:
    """Find every fault of a recipe without running it, and print its wiring."""
    from ..session import check

    checked = check(recipe, overrides or (), exclude or ())
    write([f"{checked.recipe.name}: no fault", *checked.notes])


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]", help="Only these, such as field, loss, recipe.")] = None,
    as_json: o.AsJson = False,
) -> None:
    """List the installed components and shipped recipes, with the plugin each comes from."""
    from ..registry import discover

    registry = discover()
    if as_json:
        write_json([c.full_name for c in registry.components(kind)])
    else:
        write(columns((c.kind, c.full_name, c.summary) for c in registry.components(kind)))
