"""The verb: check."""

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
