"""Every combination of SDF field, encoder, renderer and update around a recipe. Imports no torch.

A recipe brings data and losses; the components that the mixing is about are exchanged in it for any other installed
ones. What the wiring refuses is refused with its reason, everything else must train (`neuralfw.mixing.trial`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from ..config import FieldConfig, Slot, options
from ..fits import Place, attempt, places
from ..manifest import Component
from ..recipe.model import dump
from ..recipe.tables import marker
from ..recipe.toml_writer import inline
from ..registry import Registry, recipes_folder
from ..session import Checked, check

AXES = ("sdf", "encoder", "renderer", "update")


@dataclass(frozen=True)
class Combination:
    """A recipe with some components exchanged.

    Attributes:
        recipe: its file.
        parts: full name of the component on each of `AXES`; "" where the recipe has no such place.
        overrides: "key=value" texts that bring it about.
        reason: why the wiring refuses it; empty if it does not.
    """

    recipe: str
    parts: tuple[str, ...]
    overrides: tuple[str, ...]
    reason: str = ""

    @property
    def key(self) -> str:
        """What tells it from any other."""
        return " | ".join((Path(self.recipe).stem, *self.parts))


def shipped_bases() -> list[str]:
    """Return the recipes of `recipes/matrix`: small ones, one or more for each kind of data."""
    return [str(file) for file in sorted((recipes_folder() / "matrix").glob("*.toml"))]


class Mixing:
    """A recipe in which components are exchanged.

    Attributes:
        products: what may stand on each of `AXES`, every combination; None where the recipe has no such place.
    """

    def __init__(self, recipe: str) -> None:
        """Read a recipe.

        Raises:
            RecipeError: it has faults itself.
        """
        self.recipe = recipe
        self._checked = check(recipe)
        self._stands = {axis: _places(self._checked, axis) for axis in AXES}
        self.products = [*_products(self._checked, self._stands)]

    def having(self, axis: str, part: Component) -> Iterator[Combination]:
        """Yield the combinations that have a component on one of `AXES`."""
        place = AXES.index(axis)
        yield from map(self.wired, (parts for parts in self.products if parts[place] == part))

    def wired(self, parts: tuple[Component | None, ...]) -> Combination:
        """Return a combination, wired anew."""
        swaps = [
            (place, part)
            for axis, part in zip(AXES, parts, strict=True)
            for place in self._stands[axis]
            if part is not None and (part.full_name != place.name or axis == "encoder")
        ]
        tried = attempt(self._checked, self.recipe, (), swaps, [*_wrapped(self._checked, swaps)])
        names = tuple("" if part is None else part.full_name for part in parts)
        return Combination(self.recipe, names, tuple(tried.overrides), tried.reason)


def combinations(recipe: str) -> Iterator[Combination]:
    """Yield every combination around a recipe.

    Raises:
        RecipeError: the recipe itself has faults.
    """
    mixing = Mixing(recipe)
    yield from map(mixing.wired, mixing.products)


def _products(checked: Checked, stands: dict[str, list[Place]]) -> Iterator[tuple[Component | None, ...]]:
    registry = checked.registry
    fields = _candidates(registry, stands["sdf"], role="sdf")
    others = product(_candidates(registry, stands["renderer"]), _candidates(registry, stands["update"]))
    for field, (renderer, update) in product(fields, others):
        for encoder in _encoders(registry, field):
            yield field, encoder, renderer, update


def _candidates(registry: Registry, stands: Sequence[Place], role: str = "") -> list[Component | None]:
    if not stands:
        return [None]
    kinds = stands[0].kinds.split("|")
    return [c for c in registry.components() if c.kind in kinds and c.role == role]


def _encoders(registry: Registry, field: Component | None) -> list[Component | None]:
    """Return the encoders that a field may take."""
    if field is None:
        return [None]
    config = registry.config(field)
    assert issubclass(config, FieldConfig)
    info = options(config).get("encoder")
    slot = None if info is None else marker(info, Slot)
    return [None] if slot is None else [c for c in registry.components() if c.kind in slot.kinds.split("|")]


def _places(checked: Checked, axis: str) -> list[Place]:
    """Return the places of a recipe that an axis exchanges: of fields and renderers the first, of updates every one."""
    recipe, found = checked.recipe, [*places(checked)]
    roles = {f"fields.{n}.type": c.role for n, s in recipe.fields.items() if isinstance(c := s.config, FieldConfig)}
    if axis == "update":
        return [p for p in found if p.kinds == "update"]
    if axis == "renderer":
        return [p for p in found if p.kinds == "renderer" and p.path.startswith(("renderers.", "stages."))][:1]
    sdf = [p for p in found if roles.get(p.path) == "sdf"][:1]
    if axis == "sdf":
        return sdf
    return [Place(f"{p.path.removesuffix('.type')}.encoder.type", "encoder", "") for p in sdf]


def _wrapped(checked: Checked, swaps: Sequence[tuple[Place, Component]]) -> Iterator[str]:
    """Yield what puts the field that stood in a place into the one that takes its place, where that holds another."""
    for place, component in swaps:
        for key, info in options(checked.registry.config(component)).items():
            slot = marker(info, Slot)
            if slot is not None and slot.kinds == "field":
                name = place.path.split(".")[1]
                yield f"fields.{name}.{key}={inline(dump(checked.recipe.fields[name]))}"
