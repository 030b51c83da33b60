"""What the fields of a recipe give and need, and who else would give it. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..config import FieldConfig, Spec, Wiring
from ..registry import Registry
from .faults import Fault
from .source import Source
from .tables import Place
from .words import listed

Provided = Mapping[str, tuple[str, ...]]
"""Quantities, each with those that it needs in turn; a trailing "?" marks an optional one."""


_PLURALS = {"dataset|sampler": "data", "field": "fields", "renderer": "renderers"}


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
    """The components of a recipe, by table and name, and those that are installed; collects faults and warnings.

    Attributes:
        coordinates: quantities at which fields are evaluated.
    """

    def __init__(self, specs: Mapping[str, Mapping[str, Spec]], source: Source, registry: Registry) -> None:
        self.data, self.fields, self.renderers = specs["data"], specs["fields"], specs["renderers"]
        self.source, self.registry = source, registry
        self.coordinates = frozenset(q.name for q in registry.quantities().values() if q.coordinate)
        self.faults: list[Fault] = []
        self.warnings: list[str] = []
        self._undecided: set[str] = set()

    def fault(
        self, path: Place, message: str, closest: Iterable[str] = (), allowed: Iterable[str] = (), hint: str = "",
        *, key: bool = False,
    ) -> None:  # fmt: skip
        """Note a fault of the value at a place, or of its key."""
        origin = self.source.origin(path) if key else self.source.value_origin(path)
        self.faults.append(Fault(origin, message, tuple(allowed), tuple(closest), hint))

    def role_of(self, field: str) -> str:
        """Return the role of a field."""
        config = self.fields[field].config
        assert isinstance(config, FieldConfig)
        return config.role

    def roles(self, named: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return which field plays each role: named, the only one, or the one called like its role."""
        fields: dict[str, list[str]] = {}
        for name in self.fields:
            fields.setdefault(self.role_of(name), []).append(name)
        alone = {role: names[0] for role, names in fields.items() if len(names) == 1}
        called = {role: role for role, names in fields.items() if role in names}
        return {**alone, **called, **(named or {})}

    def given(self, roles: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
        """Return what fields that play roles give, each quantity with what it needs."""
        provided: dict[str, tuple[str, ...]] = {}
        for name in roles.values():
            provided |= self.fields[name].config.wiring().provides
        return provided

    def tell_no_field(self, quantity: str, roles: Mapping[str, str], reason: str, path: Place) -> None:
        """Note that no field of `roles` gives a quantity, or that it is not said which of several does."""
        able = [name for name, spec in self.fields.items() if quantity in spec.config.wiring().provides]
        if not able:
            self.fault(path, f"no field gives {quantity}, {reason}", hint=self.givers("field", quantity))
        elif (role := self.role_of(able[0])) in roles:
            text = f'field "{roles[role]}", which plays the role {role} here, gives no {quantity}, {reason}'
            self.fault(path, text, hint=f'fields = {{ {role} = "{able[0]}" }} in the pass takes one that does')
        elif role not in self._undecided:
            self._undecided.add(role)
            names = [name for name in self.fields if self.role_of(name) == role]
            text = f"fields {listed(names)} have the same role, {role}, and it is not said which one plays it"
            hint = f'call one of them {role}, or say so in each pass: fields = {{ {role} = "{names[0]}" }}'
            self.fault(("fields", names[0]), text, hint=hint, key=True)

    def givers(self, kinds: str, quantity: str, own: str = "") -> str:
        """Say which installed components give a quantity; `own` is the one that stands there without giving it."""
        components = [c for c in self.registry.components() if c.kind in kinds.split("|")]
        names = {c.full_name: c.name for c in components if quantity in c.provides}
        if own in names:
            return f"{own} gives {quantity} with its default options"
        return f"{_PLURALS[kinds]} that give {quantity}: {', '.join(names.values())}" if names else ""

    def check_capabilities(self, wiring: Wiring, who: str, roles: Mapping[str, str], path: Place) -> None:
        """Refuse what is required of fields and not so; warn of what is advised."""
        for fact in (*wiring.requires, *wiring.advises):
            role, _, capability = fact.partition(":")
            spec = self.fields.get(roles.get(role, ""))
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

    def check_export(self, mesher: Spec) -> None:
        """Check that the mesher of [export] finds what it needs."""
        wiring, roles, path = mesher.config.wiring(), self.roles(), ("export", "mesher")
        for need in required(wiring.needs):
            for quantity in lacks(need, self.given(roles), self.coordinates):
                self.tell_no_field(quantity, roles, f'which mesher "{mesher.short}" needs', path)
        self.check_capabilities(wiring, f'mesher "{mesher.short}"', roles, path)
