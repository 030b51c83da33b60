"""One table of a recipe: options validated, components found by name, every fault located."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ..config import Ref, Slot, Spec, _InputPathMark, options
from ..registry import Ambiguous, NotFound, Registry
from ..schedules import SCHEDULES, Scheduled
from ..suggest import nearest
from . import model as m
from .faults import Fault
from .source import Source

Place = tuple[str | int, ...]
"""Where something stands in a recipe's tree: keys and indices."""


def marker(info: FieldInfo, kind: type[Any]) -> Any:
    """Return the marker of a kind (Slot, Scheduled, …) on an option, or None."""
    pending: list[Any] = [*info.metadata, info.annotation]
    while pending:
        item = pending.pop()
        if isinstance(item, kind):
            return item
        if get_origin(item) in (Annotated, Union, UnionType):
            pending += [*get_args(item), *getattr(item, "__metadata__", ())]
    return None


def _plain_types(annotation: Any) -> set[Any]:
    if get_origin(annotation) is Annotated:
        return _plain_types(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return set().union(*(_plain_types(a) for a in get_args(annotation)))
    return {get_origin(annotation) or annotation}


def _mistyped(annotation: Any, value: Any) -> str | None:
    """Return what was expected where pydantic would quietly convert: text or a truth value for a number."""
    types = _plain_types(annotation)
    numeric = types & {int, float}
    if isinstance(value, str) and numeric and not types & {str, Path}:
        return f"expected {'a number' if float in types else 'an integer'}, found the text {value!r}"
    if isinstance(value, bool) and numeric and bool not in types:
        return f"expected {'a number' if float in types else 'an integer'}, found {str(value).lower()}"
    return None


class Tables:
    """Resolves tables of one recipe, collecting faults and notes."""

    def __init__(self, source: Source, registry: Registry) -> None:
        self.source, self.registry = source, registry
        self.faults: list[Fault] = [*source.faults]
        self.notes: list[str] = []

    def fault(
        self, path: Place, message: str, closest: Iterable[str] = (), allowed: Iterable[str] = (), hint: str = ""
    ):
        self.faults.append(Fault(self.source.origin(path), message, tuple(allowed), tuple(closest), hint))

    def place(self, path: Place) -> str:
        """Return a path in words, list entries by their name."""
        node: Any = self.source.tree
        words: list[str] = []
        for key in path:
            try:
                node = node[key]
            except (KeyError, IndexError, TypeError):
                node = None
            if isinstance(key, int) and isinstance(node, dict):
                words.append(str(node.get("name", node.get("type", key))))
            else:
                words.append(str(key))
        return ".".join(words)

    def unknown(self, path: Place, key: str, allowed: Iterable[str], table: str, what: str) -> None:
        allowed = list(allowed)
        self.fault(
            path,
            f'{table} has no key "{key}"' + (f"          ({what})" if what else ""),
            nearest(key, allowed),
            allowed,
        )

    def table(self, cls: type[BaseModel], raw: Any, path: Place, what: str = "", skip: Sequence[str] = ()) -> Any:
        """Validate a table against its model; a fault gives None."""
        if not isinstance(raw, dict):
            self.fault(path, f"[{self.place(path)}] must be a table, found {kind_of(raw)}")
            return None
        before = len(self.faults)
        known = [k for k in options(cls) if k not in skip]
        for key in raw:
            if key not in known:
                self.unknown((*path, key), key, known, f"[{self.place(path)}]", what)
        values = self.values(cls, {k: v for k, v in raw.items() if k in known}, path, skip)
        return self.build(cls, values, path, what) if len(self.faults) == before else None

    def values(
        self, cls: type[BaseModel], raw: dict[str, Any], path: Place, skip: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Resolve what pydantic cannot: components, schedules, nested tables, paths."""
        values: dict[str, Any] = {}
        for key, info in options(cls).items():
            slot = marker(info, Slot)
            if key in skip or (key not in raw and not (slot and slot.default)):
                continue
            here, value = (*path, key), raw.get(key, slot.default if slot else None)
            nested = [t for t in _plain_types(info.annotation) if isinstance(t, type) and issubclass(t, m.Table)]
            if slot:
                if isinstance(value, dict) and slot.default:
                    value = {"type": slot.default, **value}
                value = self.component(slot.kinds, value, here)
            elif marker(info, Scheduled) and not isinstance(value, int | float):
                value = self.schedule(value, here)
            elif nested:
                value = self.table(nested[0], value, here)
            elif marker(info, _InputPathMark) and isinstance(value, str):
                value = self.source.base(here) / Path(value).expanduser()
            elif text := _mistyped(info.annotation, value):
                self.fault(here, f"{self.place(here)}: {text}")
                continue
            if value is not None:
                self.bounds(marker(info, Scheduled), value, here)
                values[key] = value
        return values

    def bounds(self, scheduled: Scheduled | None, value: Any, path: Place) -> None:
        if scheduled is not None and not isinstance(value, bool):
            try:
                scheduled.check(value)
            except ValueError as error:
                self.fault(path, f"{self.place(path)}: {error}")

    def build(self, cls: type[BaseModel], values: dict[str, Any], path: Place, what: str) -> Any:
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            for e in error.errors(include_url=False):
                where = (*path, *(k for k in e["loc"] if (*path, k) != path))
                self.fault(where, _say(e, self.place(path), what))
            return None

    def schedule(self, raw: Any, path: Place) -> Any:
        if not isinstance(raw, dict):
            self.fault(path, f"{self.place(path)}: expected a number or a schedule, found {kind_of(raw)}")
            return None
        kind = raw.get("type")
        if kind not in SCHEDULES:
            text = (
                f"{self.place(path)}: no schedule {kind!r}" if kind else f"{self.place(path)}: a schedule needs a type"
            )
            self.fault((*path, "type") if kind else path, text, nearest(str(kind), SCHEDULES), SCHEDULES)
            return None
        return self.table(SCHEDULES[kind], raw, path, f"schedule {kind}")

    # -- components ----------------------------------------------------------------------------------------------

    def components(self, raw: Any, kinds: str, path: Place) -> dict[str, Spec]:
        if not isinstance(raw, dict):
            self.fault(path, f"[{self.place(path)}] must be a table of components, found {kind_of(raw)}")
            return {}
        specs = {name: self.component(kinds, value, (*path, name)) for name, value in raw.items()}
        return {name: spec for name, spec in specs.items() if spec is not None}

    def component(self, kinds: str, raw: Any, path: Place, envelope: Sequence[str] = ()) -> Spec | None:
        """Find a component by its type and validate its options; keys of `envelope` belong to somebody else."""
        raw = {"type": raw} if isinstance(raw, str) else raw
        if not isinstance(raw, dict) or not isinstance(raw.get("type"), str):
            what = "a table with a type" if isinstance(raw, dict) else f"a name or a table, found {kind_of(raw)}"
            self.fault(path, f"[{self.place(path)}] must be a {kinds.replace('|', ' or ')}: {what}")
            return None
        found = self.find(kinds, raw["type"], (*path, "type") if "type" in self.node(path) else path)
        if found is None:
            return None
        config = self.registry.config(found)
        own = {k: v for k, v in raw.items() if k != "type" and k not in envelope}
        inherited = self.source.swapped.get(path, frozenset())
        if lost := [k for k in own if k in inherited and k not in options(config)]:
            self.notes.append(f"{self.place(path)} is now {found.full_name}, which has no {', '.join(lost)}: dropped")
            own = {k: v for k, v in own.items() if k not in lost}
        validated = self.table(config, own, path, found.full_name)
        return None if validated is None else Spec(found.kind, found.full_name, validated, self.place(path))

    def node(self, path: Place) -> Mapping[str, Any]:
        """Return the table at a place, empty where there is none."""
        node: Any = self.source.tree
        for key in path:
            try:
                node = node[key]
            except (KeyError, IndexError, TypeError):
                return {}
        return node if isinstance(node, dict) else {}

    def find(self, kinds: str, name: str, path: Place) -> Any:
        try:
            return self.registry.find(kinds, name)
        except NotFound as error:
            hint = f"it comes with {error.plugin}: pip install {error.plugin}" if error.plugin else ""
            text = f'no {kinds.replace("|", " or ")} "{name}"' + (" is installed" if error.plugin else "")
            self.fault(path, text, error.closest, error.available, hint)
        except Ambiguous as error:
            self.fault(path, str(error), error.full_names)
        return None

    def references(
        self, specs: Mapping[str, Spec], path: Place, data: Mapping[str, Spec], fields: Mapping[str, Spec]
    ) -> None:
        """Check that options which name a field or a data table name one that exists."""
        for name, spec in specs.items():
            for key, info in options(type(spec.config)).items():
                ref, value = marker(info, Ref), getattr(spec.config, key)
                if ref is None or value is None:
                    continue
                pool = data if ref.table == "data" else fields
                self.reference(str(value), ref, pool, (*path, name, key))

    def reference(self, value: str, ref: Ref, pool: Mapping[str, Spec], path: Place) -> None:
        what = "data table" if ref.table == "data" else "field"
        head = value.partition(".")[0]
        if head not in pool:
            self.fault(path, f'no {what} "{head}" in this recipe', nearest(head, pool), pool)
        elif ref.role and (role := getattr(pool[head].config, "role", None)) != ref.role:
            fit = [n for n, s in pool.items() if getattr(s.config, "role", None) == ref.role]
            self.fault(path, f'field "{head}" is a {role} field; expected one of role {ref.role}', fit)


def kind_of(value: Any) -> str:
    """Say in words what sort of value was found."""
    names = {bool: "a truth value", int: "an integer", float: "a number", str: "text", list: "a list", dict: "a table"}
    return "nothing" if value is None else names.get(type(value), type(value).__name__)


def _say(error: Any, table: str, what: str) -> str:
    """Put one of pydantic's errors into our words."""
    key = ".".join(str(k) for k in error["loc"])
    where = ".".join(p for p in (table, key) if p)
    if error["type"] == "missing":
        return f'[{table}] lacks the key "{key}"' + (f"          ({what})" if what else "")
    text = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if error["type"] == "literal_error":
        close = difflib.get_close_matches(
            str(error["input"]), [t.strip("' ") for t in text.replace(" or ", ", ").split(",")], 1
        )
        return f"{where}: expected {text}, found {error['input']!r}" + (f"; closest: {close[0]}" if close else "")
    if error["type"] == "value_error":
        return f"{where}: {text}"
    return f"{where}: expected {text[0].lower() + text[1:]}, found {error['input']!r}"
