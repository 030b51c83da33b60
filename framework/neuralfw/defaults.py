"""A component as its defaults make it: the options it starts from, and the wiring they give. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from .config import ComponentConfig, FieldConfig, Ref, Slot, Spec, options
from .manifest import Component
from .recipe.tables import marker
from .recipe.words import choices, types
from .registry import Registry


def default_config(registry: Registry, component: Component) -> ComponentConfig:
    """Return a component's options at their defaults; those without one hold a stand-in, which is not validated."""
    config = registry.config(component)
    values: dict[str, Any] = {}
    for key, info in options(config).items():
        slot = marker(info, Slot)
        if slot is not None and slot.default is not None:
            values[key] = default_spec(registry, slot, key)
        elif info.is_required():
            values[key] = stand_in(info)
    names = {info.alias or name: name for name, info in config.model_fields.items()}
    return config.model_construct(**{names[key]: value for key, value in values.items()})


def stand_in(info: FieldInfo) -> Any:
    """Return a value of the right type for an option that has no default."""
    ref, plain = marker(info, Ref), types(info.annotation)
    if ref is not None:
        return "points" if ref.table == "data" else ref.role or "sdf"
    if named := choices(info):
        return named[0]
    samples = {Path: Path("..."), str: "...", bool: False, int: 1, float: 1.0, tuple: (), dict: {}}
    if get_origin(info.annotation) is tuple and Ellipsis not in (kinds := get_args(info.annotation)):
        return tuple(samples[kind] for kind in kinds)
    return next((value for kind, value in samples.items() if kind in plain), None)


def default_spec(registry: Registry, slot: Slot, place: str) -> Spec:
    """Return the component that stands in an option when nothing is said."""
    assert slot.default is not None
    found = registry.find(slot.kinds, slot.default)
    return Spec(found.kind, found.full_name, default_config(registry, found), place)


def facts(registry: Registry, component: Component) -> dict[str, str | list[str]]:
    """Return what a manifest says of a component beyond its names: role, wiring, capabilities; the empty left out."""
    config = default_config(registry, component)
    wiring = config.wiring()
    found: dict[str, str | list[str]] = {
        "needs": [*wiring.needs],
        "observes": [*wiring.observes],
        "provides": [*wiring.provides],
    }
    if isinstance(config, FieldConfig):
        found = {"role": config.role, **found, "capabilities": sorted(config.capabilities())}
    return {key: value for key, value in found.items() if value}
