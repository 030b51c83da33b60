"""Components and scenes outside of a run: without data, without stages, on the CPU."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

import torch

from ..recipe.faults import RecipeError
from ..recipe.model import Recipe
from ..recipe.source import Source
from ..recipe.tables import Tables
from ..registry import discover
from ..scene import Scene


def build_component(kind: str, name: str, options: Mapping[str, Any] | None = None, *, seed: int = 0) -> Any:
    """Build an installed component as a recipe would, in a scene that holds nothing else, on the CPU.

    Args:
        kind: such as "encoder" or "loss"; alternatives separated by "|".
        name: `name` or `owner/name`.
        options: as a recipe writes them, components in options included; what is left out has its default.
        seed: of the component's random stream, as a recipe's `seed`.

    Raises:
        RecipeError: no such component, or every fault of the options.
    """
    tables = Tables(Source.of({kind: {"type": name, **(options or {})}}, f"{kind} {name}"), discover())
    spec = tables.component(kind, tables.source.tree[kind], (kind,))
    scene = scene_of(tables, seed)
    assert spec is not None, "a component that could not be resolved left no fault"
    return scene.make(spec)


def build_scene(recipe: str) -> Scene:
    """Build the fields and the renderers that a recipe's text describes, on the CPU.

    Args:
        recipe: TOML with the tables `fields` and `renderers`.

    Raises:
        RecipeError: with every fault of these tables.
    """
    tables = Tables(Source.of(tomllib.loads(recipe), "the scene"), discover())
    for table, kind in (("fields", "field"), ("renderers", "renderer")):
        tables.components(tables.source.tree.get(table, {}), kind, table)
    return scene_of(tables, seed=0).build(with_data=False)


def scene_of(tables: Tables, seed: int) -> Scene:
    """Return the scene, not built yet, of tables that were resolved.

    Raises:
        RecipeError: with every fault of these tables.
    """
    if tables.faults:
        raise RecipeError(tables.faults)
    found = {table: tables.specs[table] for table in ("data", "fields", "renderers")}
    recipe = Recipe(name=tables.source.origin(()).label, seed=seed, stages=(), **found)
    return Scene(recipe, tables.registry, torch.device("cpu"))
