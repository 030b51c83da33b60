"""What the fields of a recipe give and need, and who else would give it. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..config import FieldConfig, Wiring
from ..registry import Registry
from . import model as m
from .faults import Fault
from .source import Source
from .tables import Place

Provided = Mapping[str, tuple[str, ...]]
"""Quantities, each with those that it needs in turn; a trailing "?" marks an optional one."""


def required(needs: Iterable[str]) -> Iterator[str]:
    """Yield the needs that are not optional."""
    return (need for need in needs if not need.endswith("?"))


def lacks(
    quantity: str, given: Provided, inputs: frozenset[str], asked: tuple[str, ...] = ()
) -> dict[str, tuple[str, ...]]:
    """Say why fields that give `given` cannot give a quantity at `inputs`.

    Returns:
        What is missing in the first place, each with the quantities that ask for it, from the outermost to the one
        that needs it; empty if nothing is.
    """
    if quantity in inputs:
        return {}
    if quantity not in given or quantity in asked:
        return {quantity: asked}
    missing: dict[str, tuple[str, ...]] = {}
    for need in required(given[quantity]):
        missing |= lacks(need, given, inputs, (*asked, quantity))
    return missing


def taken(quantities: Iterable[str], given: Provided, inputs: frozenset[str]) -> set[str]:
    """Return those of `inputs` from which fields that give `given` make the quantities."""
    pending, seen = [*quantities], set[str]()
    while pending:
        quantity = pending.pop().removesuffix("?")
        if quantity not in seen:
            seen.add(quantity)
            pending += () if quantity in inputs else given.get(quantity, ())
    return seen & inputs


class Supply:
    """The fields of a recipe and the components that are installed; collects faults and warnings.

    Attributes:
        coordinates: quantities at which fields are evaluated.
    """

    def __init__(self, recipe: m.Recipe, source: Source, registry: Registry) -> None:
        self.recipe, self.source, self.registry = recipe, source, registry
        self.coordinates = frozenset(q.name for q in registry.quantities().values() if q.coordinate)
        self.faults: list[Fault] = []
        self.warnings: list[str] = []

    def fault(
        self, path: Place, message: str, closest: Iterable[str] = (), allowed: Iterable[str] = (), hint: str = "",
        *, key: bool = False,
    ) -> None:  # fmt: skip
        """Note a fault of the value at a place, or of its key."""
        origin = self.source.origin(path) if key else self.source.value_origin(path)
        self.faults.append(Fault(origin, message, tuple(allowed), tuple(closest), hint))

    def role_of(self, field: str) -> str:
        """Return the role of a field."""
        config = self.recipe.fields[field].config
        assert isinstance(config, FieldConfig)
        return config.role

    def roles(self, named: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return which field plays each role: named, the only one, or the one called like its role."""
        fields: dict[str, list[str]] = {}
        for name in self.recipe.fields:
            fields.setdefault(self.role_of(name), []).append(name)
        alone = {role: names[0] for role, names in fields.items() if len(names) == 1}
        called = {role: role for role, names in fields.items() if role in names}
        return {**alone, **called, **(named or {})}

    def given(self, roles: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
        """Return what fields that play roles give, each quantity with what it needs."""
        provided: dict[str, tuple[str, ...]] = {}
        for name in roles.values():
            provided |= self.recipe.fields[name].config.wiring().provides
        return provided

    def no_field(self, quantity: str, roles: Mapping[str, str]) -> tuple[str, str]:
        """Say that no field of `roles` gives a quantity, and what would help."""
        able = [n for n, s in self.recipe.fields.items() if quantity in s.config.wiring().provides]
        if not able:
            return f"no field gives {quantity}", self.givers("field", quantity)
        role = self.role_of(able[0])
        example = f'say which one a pass uses: fields = {{ {role} = "{able[0]}" }}'
        names = " and ".join(f'"{name}"' for name in able)
        if len(able) == 1:
            return f'no field gives {quantity}: "{roles.get(role)}" plays the role {role}, {names} does not', example
        return f"{names} could both give {quantity}", f"{example}, or call one of them {role}"

    def givers(self, kinds: str, quantity: str) -> str:
        """Say which installed components give a quantity."""
        components = [c for c in self.registry.components() if c.kind in kinds.split("|")]
        names = [c.name for c in components if quantity in c.provides]
        return f"{quantity} is given by {', '.join(names)}" if names else ""

    def check_capabilities(self, wiring: Wiring, who: str, roles: Mapping[str, str], path: Place) -> None:
        """Refuse what is required of fields and not so; warn of what is advised."""
        for fact in (*wiring.requires, *wiring.advises):
            role, _, capability = fact.partition(":")
            spec = self.recipe.fields.get(roles.get(role, ""))
            if spec is None or not isinstance(spec.config, FieldConfig) or capability in spec.config.capabilities():
                continue
            field = f'field "{roles[role]}" ({spec.name})'
            if fact in wiring.requires:
                pool = [c for c in self.registry.components("field") if c.role == role]
                able = [c.name for c in pool if capability in c.capabilities]
                hint = f"with their default options these are: {', '.join(able)}" if able else ""
                self.fault(path, f"{who} needs a field that is {capability}; {field} as set here is not", hint=hint)
            else:
                self.warnings.append(f"{who} is meant for a field that is {capability}; {field} as set here is not")

    def check_export(self) -> None:
        """Check that the mesher of [export] finds what it needs."""
        if self.recipe.export is None:
            return
        mesher, roles, path = self.recipe.export.mesher, self.roles(), ("export", "mesher")
        wiring, given = mesher.config.wiring(), self.given(roles)
        for need in required(wiring.needs):
            for quantity in lacks(need, given, self.coordinates):
                text, hint = self.no_field(quantity, roles)
                self.fault(path, f'{text}, which mesher "{mesher.short}" needs', hint=hint)
        self.check_capabilities(wiring, f'mesher "{mesher.short}"', roles, path)
