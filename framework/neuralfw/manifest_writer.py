"""Writes into a plugin's manifest what its code says of each component, and finds where the two differ."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .defaults import facts
from .errors import UserError
from .manifest import Manifest, ManifestError, read_manifest
from .recipe.toml_writer import dumps
from .registry import Registry, discover

KEYS = ("role", "needs", "observes", "provides", "capabilities")
"""What is written; everything else of a manifest is its author's."""

_HEADER = re.compile(r"\s*\[\[?\s*[\w.]+\s*\]\]?\s*(#.*)?$")
_COMPONENT = re.compile(r"\s*\[\[\s*component\s*\]\]")
_ASSIGNED = re.compile(rf"\s*({'|'.join(KEYS)})\s*=")


def find_manifest(folder: Path) -> Path:
    """Return the manifest of a package's folder, or of the folder of a distribution that holds one such package.

    Raises:
        UserError: there is none, or there are several.
    """
    beneath = (path for pattern in ("*/neuralfw.toml", "src/*/neuralfw.toml") for path in sorted(folder.glob(pattern)))
    found = [p for p in (folder / "neuralfw.toml", *beneath) if p.is_file()]
    if not found:
        raise UserError(f"{folder} holds no neuralfw.toml: name the folder of the plugin's package")
    if len(found) > 1 and found[0].parent != folder:
        raise UserError(f"{folder} holds several manifests: name one of {', '.join(str(p.parent) for p in found)}")
    return found[0]


def open_package(folder: Path) -> tuple[Registry, Manifest]:
    """Return the manifest of a package, and a registry that holds it whether or not the package is installed.

    Raises:
        UserError: there is no manifest, or it cannot be read.
    """
    path = find_manifest(folder).resolve()
    registry = discover()
    installed = [m for m in registry.manifests if m.path.resolve() == path]
    if installed:
        return registry, installed[0]
    try:
        manifest = read_manifest(path, path.parent.name)
    except ManifestError as error:
        raise UserError(str(error)) from error
    sys.path.insert(0, str(path.parent.parent))
    registry.manifests.append(manifest)
    return registry, manifest


def drift(registry: Registry, manifest: Manifest) -> list[str]:
    """Return where a manifest says something else than the code, a line for each difference."""
    found = []
    for component in manifest.components:
        told = facts(registry, component)
        for key in KEYS:
            code, written = _plain(told.get(key, ())), _plain(getattr(component, key))
            if code != written:
                found.append(f"{component.full_name}: {key} is {written} in {manifest.path}, {code} in code")
    return found


def _plain(value: str | Sequence[str]) -> str | list[str]:
    return value if isinstance(value, str) and value else [*value]


def write(registry: Registry, manifest: Manifest) -> bool:
    """Bring a manifest's file up to its code; say whether anything changed."""
    before = manifest.path.read_text(encoding="utf-8")
    after = rewritten(before, [facts(registry, component) for component in manifest.components])
    if after != before:
        manifest.path.write_text(after, encoding="utf-8")
    return after != before


def rewritten(text: str, components: Sequence[Mapping[str, str | list[str]]]) -> str:
    """Return a manifest's text with the facts of its components, in their order; all else stays as it is."""
    blocks = _blocks(text.splitlines())
    pending = iter(components)
    lines: list[str] = []
    for block in blocks:
        if _COMPONENT.match(block[0]):
            block = _with_facts(block, next(pending))
        lines += block
    return "\n".join(lines) + "\n"


def _blocks(lines: Sequence[str]) -> Iterator[list[str]]:
    """Yield the lines of each table, from its header to the next."""
    block: list[str] = []
    for line in lines:
        if _HEADER.match(line) and block:
            yield block
            block = []
        block.append(line)
    if block:
        yield block


def _with_facts(block: Sequence[str], told: Mapping[str, str | list[str]]) -> list[str]:
    kept: list[str] = []
    depth = 0
    for line in block:
        if depth or _ASSIGNED.match(line):
            depth += line.count("[") - line.count("]")
        else:
            kept.append(line)
    lines = dumps({key: told.get(key) for key in KEYS}).strip().splitlines()
    end = max(i for i, line in enumerate(kept) if line.strip() and not line.lstrip().startswith("#")) + 1
    return [*kept[:end], *lines, *kept[end:]]
