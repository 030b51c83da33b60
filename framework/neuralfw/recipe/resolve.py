"""From a recipe's text to a resolved recipe, or to every fault of it at once, each with its place."""

from __future__ import annotations

from pathlib import Path

from ..config import options
from ..registry import Registry
from . import model as m
from .faults import RecipeError
from .source import Source
from .stages import Stages
from .tables import Tables


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
    tree = dict(tables.source.tree)
    data = tables.components(tree.pop("data", {}), "dataset|sampler", ("data",))
    fields = tables.components(tree.pop("fields", {}), "field", ("fields",))
    renderers = tables.components(tree.pop("renderers", {}), "renderer", ("renderers",))
    for table, specs in (("data", data), ("fields", fields), ("renderers", renderers)):
        tables.references(specs, (table,), data, fields)
    stages = Stages(tables, data, fields, renderers).stages(tree.pop("stages", None))
    tree.setdefault("export", {})
    known = {*options(m.Recipe)} - {"data", "fields", "renderers", "stages"}
    for key in [k for k in tree if k not in known]:
        tables.unknown((key,), key, options(m.Recipe), "the recipe", "")
        tree.pop(key)
    tree.setdefault("name", Path(tables.source.files[0]).stem if tables.source.files else "recipe")
    values = tables.values(m.Recipe, tree, (), skip=("data", "fields", "renderers", "stages"))
    values.update(data=data, fields=fields, renderers=renderers, stages=tuple(s for s in stages if s))
    return None if tables.faults else tables.build(m.Recipe, values, (), "the recipe")
