"""A recipe as it was written: the files it extends and the overrides, merged into one tree that knows its places."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..suggest import nearest
from .faults import Fault, Origin, RecipeError
from .merge import Merger, Node
from .positions import MAX_DEPTH, KeyPath, Place, Span, TomlError, parse

MAX_BYTES = 1 << 20
MAX_CHAIN = 16

Finder = Callable[[str], Path | None]

_NAME = r"""(?:"[^"\\]*"|'[^']*'|[^\s.="'\[\]{}#]+)"""
_OVERRIDE = re.compile(rf"\s*({_NAME}(?:\.{_NAME})*)\s*=(.*)", re.DOTALL)


@dataclass(frozen=True)
class Source:
    """A recipe, with all it extends and the overrides, before anything in it is given a meaning.

    `tree` holds plain tables and lists; the entries of `losses` and `callbacks` are tables. `files` are the recipe and
    what it extends, in that order. `text` is the recipe as given, the overrides in its first lines. `swapped` maps
    the path of each component of which only the type was assigned to the options written for the earlier type.
    `faults` are those found so far: whoever reads the tree reports them with its own.
    """

    tree: dict[str, Any]
    files: tuple[Path, ...]
    text: str
    swapped: Mapping[KeyPath, frozenset[str]]
    faults: tuple[Fault, ...]
    _nodes: Mapping[KeyPath, Node] = field(repr=False)
    _working_directory: Path = field(repr=False)

    @classmethod
    def of(cls, tree: dict[str, Any], label: str) -> Source:
        """Return a tree that no file holds; messages name `label` as its place."""
        place = Origin(Path(), label=label)
        return cls(tree, (), "", {}, (), {(): Node(None, place, place)}, Path.cwd())

    def origin(self, path: Sequence[str | int]) -> Origin:
        """Return where the key at `path` is written, or the list item itself; of an absent key, its nearest parent."""
        return self._node(path).key

    def value_origin(self, path: Sequence[str | int]) -> Origin:
        """Return where the value at `path` is written; of an absent key, that of its nearest parent."""
        return self._node(path).origin

    def base(self, path: Sequence[str | int]) -> Path:
        """Return the folder that a relative file name at `path` starts from: that of the recipe it is written in."""
        file = self.value_origin(path).file
        return self._working_directory if file is None else file.parent

    def _node(self, path: Sequence[str | int]) -> Node:
        known = tuple(path)
        while known not in self._nodes:
            known = known[:-1]
        return self._nodes[known]


def load(
    path: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    find: Finder | None = None,
    names: Iterable[str] = (),
) -> Source:
    """Read a recipe file, the files it extends and the `key=value` overrides.

    `find` returns the file of a shipped recipe by its name, for a `path` or an `extends` that is not a file; `names`
    are the names it knows, for the message. Raises `RecipeError` if a file cannot be read; any other fault is
    left in `Source.faults`.
    """
    documents = _read_chain(Path(path), find, tuple(names))
    merger = Merger()
    root = merger.merge(None, documents[-1].root)
    for document in documents[-2::-1]:
        root = merger.merge(root, document.root)
    for number, text in enumerate(overrides, 1):
        try:
            override = _read_override(text, Origin(None, line=number, text=text, label=f"override {number}"))
        except RecipeError as error:
            merger.faults += error.faults
        else:
            root = merger.merge(root, override)
    nodes = dict(root.walk())
    return Source(
        tree=root.plain(),
        files=tuple(document.file for document in documents),
        text=_with_overrides(documents[0].text, overrides),
        swapped={path: node.inherited for path, node in nodes.items() if node.inherited is not None},
        faults=tuple(merger.faults),
        _nodes=nodes,
        _working_directory=Path.cwd(),
    )


@dataclass(frozen=True)
class _Document:
    """One recipe file, read."""

    file: Path
    text: str
    root: Node
    extends: Node | None


def _read_chain(path: Path, find: Finder | None, names: tuple[str, ...]) -> list[_Document]:
    """Read a recipe and what it extends, the recipe first."""
    asked = Origin(path, label=str(path))
    documents = [_read(_locate(path, Path.cwd(), find, names, asked), asked)]
    while (extends := documents[-1].extends) is not None:
        origin = extends.origin
        if not isinstance(extends.value, str):
            raise RecipeError([Fault(origin, "extends expected the name of one recipe file, as text")])
        file = _locate(Path(extends.value), documents[-1].file.parent, find, names, origin)
        chain = [document.file for document in documents]
        if any(file.samefile(other) for other in chain):
            circle = " -> ".join(other.name for other in (*chain, file))
            raise RecipeError([Fault(origin, f"extends itself: {circle}")])
        if len(documents) == MAX_CHAIN:
            raise RecipeError([Fault(origin, f"extends more than {MAX_CHAIN - 1} files, one through the other")])
        documents.append(_read(file, origin))
    return documents


def _locate(path: Path, folder: Path, find: Finder | None, names: tuple[str, ...], origin: Origin) -> Path:
    """Return the absolute path of a recipe named in a file of `folder` (or on the command line), or refuse it."""
    file = folder / path
    try:
        if file.is_file():
            return file
        is_folder = file.is_dir()
        siblings = sorted(other.name for other in file.parent.glob("*.toml"))
    except (OSError, ValueError) as error:
        raise _unreadable(error, origin) from None
    name = path.name.removesuffix(".toml")
    shipped_name = path.as_posix().removesuffix(".toml")
    shipped = find(shipped_name) if find is not None and shipped_name in (name, *names) else None
    if shipped is not None:
        return Path.cwd() / shipped
    if is_folder:
        hint = f"it holds {path / 'recipe.toml'}" if (file / "recipe.toml").is_file() else ""
        raise RecipeError([Fault(origin, "is a folder, not a recipe", hint=hint)])
    closest = [str(path.parent / other) for other in nearest(path.name, siblings)] + nearest(name, names)
    message = "no such recipe" if file.parent.is_dir() else f"no such recipe: there is no folder {path.parent}"
    raise RecipeError([Fault(origin, message, closest=tuple(closest[:3]))])


def _read(file: Path, asked: Origin) -> _Document:
    """Read one recipe file; `asked` is the place that names it."""
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise _unreadable(error, asked) from None
    whole = Origin(file, label=_shown(file))
    if len(raw) > MAX_BYTES:
        raise RecipeError([Fault(whole, f"is larger than {MAX_BYTES >> 20} MiB: no recipe is")])
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise RecipeError([Fault(whole, f"is not UTF-8 text (line {line})", hint="save it as UTF-8")]) from None
    lines = text.split("\n")

    def locate(span: Span) -> Origin:
        return Origin(file, span.line, span.column, span.end_column, lines[span.line - 1], whole.label)

    try:
        tree, places = parse(text)
    except TomlError as error:
        place = locate(Span(error.line, error.column, error.column + 1)) if error.line else whole
        raise RecipeError([Fault(place, f"is not TOML: {error.message}")]) from None
    root = _nodes(tree, places, locate, (), Node(None, whole, whole))
    extends = root.value.pop("extends", None)
    return _Document(file, text, root, extends)


def _nodes(
    tree: Any, places: Mapping[KeyPath, Place], locate: Callable[[Span], Origin], path: KeyPath, parent: Node
) -> Node:
    """Return what tomllib read as nodes; what has no place gets its parent's."""
    node = parent
    if path in places:
        key, value = places[path]
        origin = locate(value)
        node = Node(None, origin if key is value else locate(key), origin)
    if isinstance(tree, dict):
        return node._replace(value={name: _nodes(tree[name], places, locate, (*path, name), node) for name in tree})
    if isinstance(tree, list):
        return node._replace(value=[_nodes(item, places, locate, (*path, i), node) for i, item in enumerate(tree)])
    return node._replace(value=tree)


def _read_override(text: str, origin: Origin) -> Node:
    """Return `a.b=value` as the recipe that says only this. Raises `RecipeError`."""
    match = _OVERRIDE.fullmatch(text)
    names = re.findall(_NAME, match[1]) if match else []
    if match is None or len(names) > MAX_DEPTH:
        raise RecipeError([Fault(origin, "expected key=value", hint="for example --set stages.fit.steps=100")])
    raw = match[2].strip()
    try:
        value = _toml_value(raw)
    except TomlError as error:
        if raw.startswith(("{", "[", '"', "'")):
            hint = "the shell takes quotes away: put the whole override into quotes of the other kind"
            raise RecipeError([Fault(origin, f"is not a TOML value: {error.message}", hint=hint)]) from None
        value = raw
    for name in reversed(names):
        value = {name[1:-1] if name[0] in "\"'" else name: value}
    return _nodes(value, {}, lambda _: origin, (), Node(None, origin, origin))


def _toml_value(text: str) -> Any:
    """Read the text behind a key's `=`. Raises `TomlError`."""
    tree, _ = parse("value = " + text)
    if len(tree) > 1:
        raise TomlError("more than one value")
    return tree["value"]


def _unreadable(error: OSError | ValueError, origin: Origin) -> RecipeError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return RecipeError([Fault(origin, f"cannot be read: {reason}")])


def _shown(file: Path) -> str:
    """Return a file's name as messages show it: relative where it lies below the working directory."""
    name = os.path.normpath(file)
    relative = os.path.relpath(name)
    return name if relative.startswith("..") else relative


def _with_overrides(text: str, overrides: Iterable[str]) -> str:
    """Return a recipe's text with the overrides as comments on top."""
    lines = ["".join(c if c.isprintable() else repr(c)[1:-1] for c in override) for override in overrides]
    return "".join(f"# --set {line}\n" for line in lines) + text
