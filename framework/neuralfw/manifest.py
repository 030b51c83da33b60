"""A plugin's manifest, `neuralfw.toml`: what it brings, readable without importing it."""

from __future__ import annotations

import tomllib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

API = 1
"""The API level this core offers; a manifest states the one it was written for."""

OLDEST_API = 1
"""The oldest level whose plugins still work; those of a level between are told of as deprecated."""

KINDS = (
    "field",
    "encoder",
    "renderer",
    "loss",
    "dataset",
    "sampler",
    "integrator",
    "update",
    "callback",
    "mesher",
    "metric",
)


class ManifestError(Exception):
    """The manifest cannot be used; the plugin is listed as unavailable with this text."""


@dataclass(frozen=True)
class Component:
    """One component as its manifest describes it.

    `cls` and `config` are import paths, "module:name"; `role` is a field's; the wiring is that of the default options.
    `example` are options with which `plugin check` builds it, where the defaults alone do not.
    """

    kind: str
    name: str
    owner: str
    plugin: str
    cls: str
    config: str
    summary: str
    role: str = ""
    needs: tuple[str, ...] = ()
    observes: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    example: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def full_name(self) -> str:
        """`owner/name`, which is always unambiguous."""
        return f"{self.owner}/{self.name}"


@dataclass(frozen=True)
class Quantity:
    """A named tensor that components exchange. Fields are evaluated at the `coordinate` ones."""

    name: str
    shape: str
    unit: str
    text: str
    dtype: str = "float"
    coordinate: bool = False


@dataclass(frozen=True)
class Manifest:
    """Everything that a plugin's manifest says."""

    plugin: str
    owner: str
    api: int
    path: Path
    version: str = ""
    hooks: str = ""
    components: tuple[Component, ...] = ()
    quantities: tuple[Quantity, ...] = ()
    recipes: tuple[str, ...] = field(default=())


_COMPONENT_KEYS = {"kind", "name", "class", "config", "summary", "role"}
_COMPONENT_KEYS |= {"needs", "observes", "provides", "capabilities", "extras", "example"}


def read_manifest(path: Path, plugin: str, version: str = "") -> Manifest:
    """Read and check a manifest.

    Raises:
        ManifestError: the file is missing or malformed, or asks for another API level.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ManifestError(f"no manifest at {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: {error}") from error
    api = _api_level(raw.get("api"), plugin)
    owner = raw.get("owner")
    if not isinstance(owner, str) or not owner.isidentifier():
        raise ManifestError(f"{path}: owner must be a plain name, found {owner!r}")
    components = tuple(_component(c, owner, plugin, path) for c in raw.get("component", ()))
    names = Counter((c.kind, c.name) for c in components)
    if twice := [f"{kind} {name!r} twice" for (kind, name), count in names.items() if count > 1]:
        raise ManifestError(f"{path} has {', '.join(twice)}")
    return Manifest(
        plugin=plugin,
        owner=owner,
        api=api,
        path=path,
        version=version,
        hooks=str(raw.get("hooks", "")),
        components=components,
        quantities=tuple(_quantity(q, path) for q in raw.get("quantity", ())),
        recipes=tuple(raw.get("recipes", ())),
    )


def _api_level(level: Any, plugin: str) -> int:
    if isinstance(level, int) and OLDEST_API <= level <= API:
        return level
    outdated = "neuralfw" if isinstance(level, int) and level > API else plugin
    offered = f"level {API}" if OLDEST_API == API else f"levels {OLDEST_API} to {API}"
    raise ManifestError(f"written for API level {level}, this neuralfw offers {offered}; upgrade {outdated}")


def _component(raw: dict[str, Any], owner: str, plugin: str, path: Path) -> Component:
    if unknown := set(raw) - _COMPONENT_KEYS:
        raise ManifestError(f"{path}: component {raw.get('name')!r} has unknown keys {sorted(unknown)}")
    if missing := {"kind", "name", "class", "config", "summary"} - set(raw):
        raise ManifestError(f"{path}: component {raw.get('name')!r} lacks {sorted(missing)}")
    if raw["kind"] not in KINDS:
        raise ManifestError(f"{path}: component {raw['name']!r} is of unknown kind {raw['kind']!r}")
    lists = {k: tuple(raw.get(k, ())) for k in ("needs", "observes", "provides", "capabilities", "extras")}
    return Component(
        kind=raw["kind"],
        name=raw["name"],
        owner=owner,
        plugin=plugin,
        cls=raw["class"],
        config=raw["config"],
        summary=raw["summary"],
        role=raw.get("role", ""),
        example=dict(raw.get("example", {})),
        **lists,
    )


def _quantity(raw: dict[str, Any], path: Path) -> Quantity:
    try:
        return Quantity(**raw)
    except TypeError as error:
        raise ManifestError(f"{path}: quantity {raw.get('name')!r}: {error}") from error
