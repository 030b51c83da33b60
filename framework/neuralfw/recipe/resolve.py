"""From a recipe's text to a resolved recipe, or to every fault of it at once, each with its place."""

from __future__ import annotations

from ..config import options
from ..registry import Registry
from . import model as m
from .faults import RecipeError
from .references import check_references
from .source import Source
from .stages import Stages
from .supply import Supply
from .tables import Tables
from .wiring import wire_stages

_COMPONENTS = {"data": "dataset|sampler", "fields": "field", "renderers": "renderer"}


def resolve(source: Source, registry: Registry) -> tuple[m.Recipe, list[str]]:
    """Resolve a recipe against the installed components.

    Returns:
        The recipe, and notes on what was dropped or chosen along the way.

    Raises:
        RecipeError: with every fault of the recipe, each with its place; those of the wiring of its faultless stages
            are among them.
    """
    tables = Tables(source, registry)
    tree = tables.spelt(source.tree, options(m.Recipe), (), merging=("extends",))
    if any("extends" in fault.closest[:1] for fault in tables.faults):
        raise RecipeError(tables.faults)
    for table, kinds in _COMPONENTS.items():
        tables.components(tree.get(table, {}), kinds, table)
    stages = Stages(tables).stages(tree["stages"]) if "stages" in tree else []
    sound = check_references(tables)
    done = {**tables.specs, **({"stages": tuple(stages) if all(stages) else None} if "stages" in tree else {})}
    recipe = tables.validated(m.Recipe, {"name": source.files[0].stem, "export": {}, **tree}, (), "", done)
    supply = Supply(tables.specs, source, registry)
    if tables.faults:
        known = {i: s for i, s in enumerate(stages) if sound and s is not None and _is_known(s, tables)}
        wire_stages(supply, known)
        raise RecipeError([*tables.faults, *supply.faults])
    if "export" not in tree:
        recipe = _without_unfit_export(recipe, supply, tables.notes)
    return recipe, tables.notes


def _is_known(stage: m.Stage, tables: Tables) -> bool:
    """Say whether everything that a stage is wired to is free of faults."""
    drawn = [p.data for name, p in stage.passes.items() if p.data and (p.data == name or p.data not in stage.passes)]
    used = {
        "data": [data.partition(".")[0] for data in drawn],
        "renderers": [p.renderer for p in stage.passes.values()],
        "fields": tables.names("fields"),
    }
    return all({*names} <= tables.specs[table].keys() for table, names in used.items())


def _without_unfit_export(recipe: m.Recipe, supply: Supply, notes: list[str]) -> m.Recipe:
    """Leave out an export that was not asked for, where the default mesher has nothing to mesh."""
    assert recipe.export is not None
    supply.check_export(recipe.export.mesher)
    notes += [f"no mesh is exported: {fault.message}" for fault in supply.faults]
    return recipe.model_copy(update={"export": None}) if supply.faults else recipe
