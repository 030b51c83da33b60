"""What is installed: components and shipped recipes, read from manifests and recipe files alone."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass

from .errors import UserError
from .manifest import KINDS
from .registry import Registry
from .shipped import find_recipe, shipped_recipes
from .suggest import nearest

SORTS = (*KINDS, "recipe")


@dataclass(frozen=True)
class Entry:
    """One line of the list: a component or a shipped recipe."""

    kind: str
    name: str
    plugin: str
    summary: str


def entries(registry: Registry, sort: str | None = None) -> list[Entry]:
    """Return what is installed: components by kind, then recipes.

    Raises:
        UserError: no such kind.
    """
    if sort is not None and sort not in SORTS:
        close = nearest(sort.removesuffix("s"), SORTS)
        raise UserError(f"no kind {sort!r}; {'closest: ' + close[0] if close else 'kinds: ' + ', '.join(SORTS)}")
    found = [Entry(c.kind, c.full_name, c.plugin, c.summary) for k in KINDS for c in registry.components(k)]
    found += [Entry("recipe", name, "", _summary(name)) for name in shipped_recipes()]
    return [entry for entry in found if sort in (None, entry.kind)]


def _summary(recipe: str) -> str:
    file = find_recipe(recipe)
    if file is None:
        return ""
    try:
        return str(tomllib.loads(file.read_text(encoding="utf-8")).get("summary", ""))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return "cannot be read: `neuralfw check` says why"
