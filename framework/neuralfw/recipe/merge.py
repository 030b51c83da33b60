"""How one recipe changes another: tables deep, stages, losses and callbacks by name, components whole or by type."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ..suggest import nearest
from .faults import Fault, Origin
from .positions import KeyPath

NamePath = tuple[str, ...]

_ENTRY_KINDS = {"stages": "stage", "losses": "loss", "callbacks": "callback"}


class Node(NamedTuple):
    """A value of a recipe with the places of its key and of itself; tables and lists hold nodes.

    `inherited` is set on a component of which only the type was assigned: the options written for the earlier type.
    """

    value: Any
    key: Origin
    origin: Origin
    inherited: frozenset[str] | None = None

    def plain(self) -> Any:
        """Return the value without places."""
        if isinstance(self.value, dict):
            return {name: child.plain() for name, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def walk(self, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Node]]:
        """Yield this node and all below it, each with its path."""
        yield path, self
        children: Iterable[tuple[str | int, Node]] = ()
        if isinstance(self.value, dict):
            children = self.value.items()
        elif isinstance(self.value, list):
            children = enumerate(self.value)
        for name, child in children:
            yield from child.walk((*path, name))


class Merger:
    """Lays recipes and overrides over one another and collects what is wrong with them in `faults`."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def merge(self, base: Node | None, child: Node, path: NamePath = ()) -> Node:
        """Return `base` as `child` changes it; neither is altered. `path` names the entries of named lists."""
        if _is_named_list(path) and isinstance(child.value, dict | list):
            return self._merge_entries(base, child, path)
        if not isinstance(child.value, dict):
            return child
        base = _as_table(base, path)
        assigns_type = _type(child) is not None and path and not _is_stage(path)
        if base is not None and assigns_type and len(child.value) == 1:
            return _swap(base, child)
        if base is None or assigns_type:
            base = Node({}, child.key, child.origin)
        return self._merge_table(base, child, path)

    def _merge_table(self, base: Node, child: Node, path: NamePath) -> Node:
        merged = dict(base.value)
        for name, node in child.value.items():
            if not _removes(node):
                merged[name] = self.merge(merged.get(name), node, (*path, name))
            elif merged.pop(name, None) is None:
                place = f"[{'.'.join(path)}] has" if path else "the recipe has"
                self._unknown(node.key, f"{place} no {_quote(name)} to remove", name, merged)
        inherited = base.inherited and base.inherited.difference(child.value)
        return base._replace(value=merged, inherited=inherited)

    def _merge_entries(self, base: Node | None, child: Node, path: NamePath) -> Node:
        """Merge a named list: written as a table it addresses entries that exist, as a list it may append some."""
        kind = _ENTRY_KINDS[path[-1]]
        where = f" in stage {_quote(path[1])}" if kind != "stage" else ""
        entries = {} if base is None else {entry.name: entry.node for entry in _entries(base, kind)}
        changes = self._unique(_entries(child, kind), kind, where)
        for name, origin, node in changes:
            if _removes(node) and _name(node) is None and isinstance(child.value, list):
                misspelt = ("name",) if any(nearest(key, ["name"]) for key in node.value) else ()
                self.faults.append(Fault(origin, f"a {kind} to remove needs its name", closest=misspelt))
            elif _removes(node):
                if entries.pop(name, None) is None:
                    self._unknown(origin, f"no {kind} {_quote(name)}{where} to remove", name, entries)
            elif name in entries or _may_append(child, node, kind, entries):
                node = _without(node, "before") if kind == "stage" else node
                entries[name] = self._merge_entry(entries.get(name), node, (*path, name))
            else:
                self._unknown(origin, f"no {kind} {_quote(name)}{where}", name, entries, _how_to_add(child, kind))
        if kind == "stage":
            entries = self._reorder(entries, changes)
        place = child if base is None else base
        return Node(list(entries.values()), place.key, place.origin)

    def _unique(self, entries: Iterable[_Entry], kind: str, where: str) -> list[_Entry]:
        first: dict[str, _Entry] = {}
        for entry in entries:
            if first.setdefault(entry.name, entry) is not entry:
                hint = "" if kind == "stage" else f"give one of them a name: a {kind} without one is named by its type"
                self.faults.append(Fault(entry.origin, f"a second {kind} named {_quote(entry.name)}{where}", hint=hint))
        return list(first.values())

    def _merge_entry(self, base: Node | None, child: Node, path: NamePath) -> Node:
        """Merge one stage, loss or callback: it keeps its name, and its options where the type stays the same."""
        if base is None or not (isinstance(base.value, dict) and isinstance(child.value, dict)):
            return self.merge(None, child, path)
        name = child.value.get("name")
        if name is not None and name.value != path[-1]:
            self.faults.append(Fault(name.origin, f"{_quote(path[-1])} cannot be renamed"))
        options = _without(child, "name")
        if len(options.value) > 1 and _type(options) == _type(base):
            options = _without(options, "type")
        merged = self.merge(base, options, path)
        if _name(merged) != path[-1]:
            named = name or base.value.get("name") or Node(path[-1], base.key, base.origin)
            merged = merged._replace(value={"name": named, **merged.value})
        return merged

    def _reorder(self, entries: dict[str, Node], changes: list[_Entry]) -> dict[str, Node]:
        """Put each stage that says `before` in front of the stage it names."""
        moved: dict[str, Node] = {}
        ahead: dict[str, list[str]] = {}
        for name, _, node in changes:
            before = node.value.get("before") if isinstance(node.value, dict) and name in entries else None
            if before is not None and isinstance(before.value, str) and before.value in entries:
                moved[name] = before
                ahead.setdefault(before.value, []).append(name)
            elif before is not None:
                message = f"no stage {_quote(before.plain())} for {_quote(name)} to stand before"
                self._unknown(before.origin, message, str(before.plain()), entries)
        backwards: list[str] = []
        pending = [name for name in entries if name not in moved]
        while pending:
            name = pending.pop()
            backwards.append(name)
            pending += ahead.get(name, ())
        for name in moved.keys() - set(backwards):
            self.faults.append(Fault(moved[name].origin, f"{_quote(name)} would stand before itself"))
        return {name: entries[name] for name in reversed(backwards)}

    def _unknown(self, origin: Origin, message: str, name: str, options: Iterable[str], hint: str = "") -> None:
        allowed = tuple(options)
        self.faults.append(Fault(origin, message, allowed, tuple(nearest(name, allowed)), hint))


class _Entry(NamedTuple):
    """A stage, loss or callback under its name; `origin` is the place of the name."""

    name: str
    origin: Origin
    node: Node


def _entries(node: Node, kind: str) -> Iterator[_Entry]:
    if isinstance(node.value, dict):
        for name, child in node.value.items():
            yield _Entry(name, child.key, _as_entry(child, kind))
        return
    for position, child in enumerate(node.value if isinstance(node.value, list) else ()):
        child = _as_entry(child, kind)
        name = _name(child)
        named_by = child.value["name" if "name" in child.value else "type"] if name is not None else child
        nameless = f"{child.origin.label}:{child.origin.line}:{position}"  # equals no other
        yield _Entry(nameless if name is None else name, named_by.origin, child)


def _as_entry(node: Node, kind: str) -> Node:
    return _promoted(node) if kind != "stage" and isinstance(node.value, str) else node


def _name(node: Node) -> str | None:
    """Return what an entry is called: its name, by default its type."""
    if not isinstance(node.value, dict):
        return None
    name = node.value.get("name", node.value.get("type"))
    return name.value if name is not None and isinstance(name.value, str) else None


def _may_append(child: Node, node: Node, kind: str, entries: dict[str, Node]) -> bool:
    """A list may append; but a name without a type, beside other entries, was meant to change one of them."""
    if not isinstance(child.value, list):
        return False
    return kind == "stage" or not entries or _type(node) is not None or _name(node) is None


def _how_to_add(child: Node, kind: str) -> str:
    if isinstance(child.value, list):
        return f"a new {kind} needs a type"
    return "a new stage begins with [[stages]] and its name" if kind == "stage" and child.origin.file else ""


def _is_named_list(path: NamePath) -> bool:
    return path == ("stages",) or (len(path) == 3 and path[0] == "stages" and path[2] in ("losses", "callbacks"))


def _is_stage(path: NamePath) -> bool:
    return len(path) == 2 and path[0] == "stages"


def _type(node: Node) -> str | None:
    kind = node.value.get("type") if isinstance(node.value, dict) else None
    return kind.value if kind is not None and isinstance(kind.value, str) else None


def _removes(node: Node) -> bool:
    remove = node.value.get("remove") if isinstance(node.value, dict) else None
    return remove is not None and remove.value is True


def _without(node: Node, name: str) -> Node:
    if not isinstance(node.value, dict):
        return node
    return node._replace(value={key: child for key, child in node.value.items() if key != name})


def _promoted(node: Node) -> Node:
    """Return a component written as a bare string as the table it stands for."""
    return node._replace(value={"type": node})


def _as_table(node: Node | None, path: NamePath) -> Node | None:
    """Return the table that a child's keys go into, where there is one."""
    if node is None or isinstance(node.value, dict):
        return node
    if isinstance(node.value, str):
        return _promoted(node)
    if isinstance(node.value, list) and len(path) == 3 and path[0] == "stages" and path[2] == "train":
        names = [child for child in node.value if isinstance(child.value, str)]
        return node._replace(value={child.value: child._replace(value={}) for child in names})
    return None


def _swap(base: Node, child: Node) -> Node:
    """Assign only the type of a component and note which options were written for another one."""
    kind = child.value["type"]
    merged = {**base.value, "type": kind}
    if _type(base) == kind.value:
        return base._replace(value=merged)
    written_elsewhere = {name for name, node in base.value.items() if node.key.file != kind.key.file}
    return Node(merged, child.key, child.origin, frozenset(written_elsewhere - {"type", "name"}))


def _quote(name: object) -> str:
    return f'"{name}"'
