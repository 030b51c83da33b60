"""From a recipe's text to a resolved recipe, or to every fault of it at once, each with its place."""

from __future__ import annotations

from ..config import options
from ..registry import Registry
from . import model as m
from .faults import RecipeError
from .references import check_references
from .source import Source
from .stages import Stages
from .tables import Tables

_COMPONENTS = {"data": "dataset|sampler", "fields": "field", "renderers": "renderer"}


def resolve(source: Source, registry: Registry) -> tuple[m.Recipe, list[str]]:
    """Resolve a recipe against the installed components.

    Returns:
        The recipe, and notes on what was dropped or chosen along the way.

    Raises:
        RecipeError: with every fault of the recipe, each with its place.
    """
    tables = Tables(source, registry)
    recipe = _recipe(tables)
    if tables.faults or recipe is None:
        raise RecipeError(tables.faults)
    return recipe, tables.notes


def _recipe(tables: Tables) -> m.Recipe | None:
    tree = tables.spelt(tables.source.tree, options(m.Recipe), ())
    for table, kinds in _COMPONENTS.items():
        tables.components(tree.get(table, {}), kinds, table)
    stages = Stages(tables).stages(tree["stages"]) if "stages" in tree else None
    check_references(tables)
    tree.setdefault("name", tables.source.files[0].stem)
    if any(spec.config.wiring().provides.keys() & {"sdf"} for spec in tables.specs["fields"].values()):
        tree.setdefault("export", {})
    done = {**tables.specs, **({} if stages is None else {"stages": stages})}
    return tables.validated(m.Recipe, tree, (), "", done)  # type: ignore[no-any-return]
