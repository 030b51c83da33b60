"""Finds components by kind and name in the manifests of installed plugins, and imports only what is named."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UserError
from .manifest import Component, Manifest, ManifestError, Quantity, read_manifest
from .suggest import nearest

if TYPE_CHECKING:
    from .config import ComponentConfig

GROUP = "neuralfw"
"""The entry-point group in which a distribution names the package that holds its manifest."""


@dataclass(frozen=True)
class Unavailable:
    """A plugin, or a component of one, that cannot be used, and why."""

    plugin: str
    reason: str
    remedy: str


class NotFound(UserError):
    """No component of that name: carries the nearest names, and the plugin that would bring it."""

    def __init__(self, kinds: str, name: str, closest: Sequence[str], plugin: str | None, available: Sequence[str]):
        self.kinds, self.name, self.closest, self.plugin, self.available = kinds, name, closest, plugin, available
        text = f"no {kinds.replace('|', ' or ')} {name!r} is installed"
        if plugin:
            text += f"; it comes with {plugin}: pip install {plugin}"
        elif closest:
            text += f"; closest: {', '.join(closest)}"
        super().__init__(text)


class Ambiguous(UserError):
    """Two plugins bring a component of that name: the full name must be said."""

    def __init__(self, kinds: str, name: str, full_names: Sequence[str]) -> None:
        self.full_names = full_names
        super().__init__(f"{kinds} {name!r} is brought by several plugins: say {' or '.join(full_names)}")


@dataclass
class Registry:
    """The components of all installed plugins. `broken` keeps what failed, with the reason."""

    manifests: list[Manifest] = field(default_factory=list)
    broken: list[Unavailable] = field(default_factory=list)
    excluded: tuple[str, ...] = ()
    _configs: dict[tuple[str, str], type[ComponentConfig]] = field(default_factory=dict)

    def components(self, kind: str | None = None) -> Iterator[Component]:
        """Yield every component, or those of one kind, in the order of plugin and manifest."""
        for manifest in self.manifests:
            for component in manifest.components:
                if kind is None or component.kind == kind:
                    yield component

    def quantities(self) -> dict[str, Quantity]:
        """Return the vocabulary: core's quantities and, as "owner/name", those of plugins."""
        return {q.name: q for m in self.manifests for q in m.quantities}

    def find(self, kinds: str, name: str) -> Component:
        """Return the component `name` or `owner/name` of one of `kinds` ("dataset|sampler").

        Raises:
            NotFound: there is none.
            Ambiguous: a short name that several plugins bring.
        """
        wanted = kinds.split("|")
        pool = [c for c in self.components() if c.kind in wanted]
        hits = [c for c in pool if name in (c.full_name, c.name)]
        if len(hits) == 1:
            return hits[0]
        if hits:
            raise Ambiguous(kinds, name, sorted(c.full_name for c in hits))
        names = sorted({c.name for c in pool})
        raise NotFound(kinds, name, nearest(name, names), _catalogue().get(name.rpartition("/")[2]), names)

    def config(self, component: Component) -> type[ComponentConfig]:
        """Import and return the options class of a component (no torch)."""
        key = (component.kind, component.full_name)
        if key not in self._configs:
            self._configs[key] = self._import(component, component.config)
        return self._configs[key]

    def load(self, component: Component) -> type[Any]:
        """Import and return the class of a component."""
        return self._import(component, component.cls)  # type: ignore[no-any-return]

    def _import(self, component: Component, target: str) -> Any:
        module, _, name = target.partition(":")
        try:
            return getattr(importlib.import_module(module), name)
        except Exception as error:
            remedy = f"pip install '{component.plugin}[{','.join(component.extras)}]'" if component.extras else ""
            reason = f"{type(error).__name__}: {error}"
            self.broken.append(Unavailable(component.plugin, f"{component.full_name}: {reason}", remedy))
            text = f"{component.kind} {component.full_name} of plugin {component.plugin} cannot be imported: {reason}"
            raise UserError(text + (f"\nto mend it: {remedy}" if remedy else "")) from error


def _clashes(manifests: Iterable[Manifest]) -> Iterator[Unavailable]:
    seen: dict[str, str] = {}
    for manifest in manifests:
        if (other := seen.setdefault(manifest.owner, manifest.plugin)) != manifest.plugin:
            reason = f"owner {manifest.owner!r} is already taken by {other}"
            yield Unavailable(manifest.plugin, reason, f"uninstall one of them: pip uninstall {manifest.plugin}")


def _locate(package: str) -> Path:
    try:
        spec = importlib.util.find_spec(package)
    except Exception as error:  # looking for a package inside another imports the outer one
        raise ManifestError(f"package {package} cannot be found: {error}") from error
    if spec is None or not spec.submodule_search_locations:
        raise ManifestError(f"package {package} is not installed")
    return Path(next(iter(spec.submodule_search_locations))) / "neuralfw.toml"


def discover(exclude: Sequence[str] = ()) -> Registry:
    """Read the manifest of every installed plugin except those in `exclude`; a broken one never stops the others.

    Raises:
        UserError: a name in `exclude` is no installed plugin.
    """
    registry = Registry(excluded=tuple(exclude))
    unknown = {*exclude}
    points = sorted(importlib.metadata.entry_points(group=GROUP), key=lambda p: (p.name != "core", p.name))
    for point in points:
        plugin = point.dist.name if point.dist else point.name
        called = {plugin, point.name, plugin.removeprefix("neuralfw-")}
        unknown -= called
        if called & {*exclude}:
            registry.broken.append(Unavailable(plugin, "left out by --no-plugin", ""))
            continue
        try:
            version = point.dist.version if point.dist else ""
            registry.manifests.append(read_manifest(_locate(point.value), plugin, version))
        except ManifestError as error:
            registry.broken.append(Unavailable(plugin, str(error), f"pip install --force-reinstall {plugin}"))
    if unknown:
        names = ", ".join(point.name for point in points)
        raise UserError(f"--no-plugin {', '.join(sorted(unknown))}: no such plugin is installed; installed: {names}")
    clashes = list(_clashes(registry.manifests))
    refused = {c.plugin for c in clashes}
    registry.manifests = [m for m in registry.manifests if m.plugin not in refused]
    registry.broken += clashes
    return registry


@cache
def recipes_folder() -> Path:
    """Return the folder of the shipped recipes: inside the wheel, or beside the framework in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "recipes"
    return inside if inside.is_dir() else package.parents[1] / "recipes"


@cache
def _catalogue() -> dict[str, str]:
    """Return which published plugin brings a component, from the catalogue beside the recipes."""
    try:
        raw = tomllib.loads((recipes_folder() / "plugins.toml").read_text(encoding="utf-8"))
    except OSError:
        return {}
    return {name: plugin for plugin, names in raw.items() for name in names}
