"""One table of a recipe: options validated, components found by name, every fault located."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ..config import PathMark, Ref, Slot, Spec, options
from ..errors import UserError
from ..manifest import Component
from ..registry import Ambiguous, NotFound, Registry
from ..schedules import SCHEDULES, Schedule, Scheduled
from ..suggest import nearest
from .faults import Fault
from .source import Source
from .words import a, choices, expected, found, types

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


def _takes(info: FieldInfo, value: Any) -> bool:
    """Say whether an option takes a value, where it is one of a few names."""
    named = choices(info)
    return not named or not isinstance(value, str) or value in named


class Tables:
    """Resolves tables of one recipe, collecting faults and notes.

    Attributes:
        specs: the components resolved so far, by table ("data", "fields", "renderers") and name.
        references: options that name a field or a data table, each with its place.
        clocks: what schedules count, each with its place.
    """

    def __init__(self, source: Source, registry: Registry) -> None:
        self.source, self.registry = source, registry
        self.faults: list[Fault] = [*source.faults]
        self.notes: list[str] = []
        self.specs: dict[str, dict[str, Spec]] = {"data": {}, "fields": {}, "renderers": {}}
        self.references: list[tuple[str, Ref, Place]] = []
        self.clocks: list[tuple[str, Place]] = []
        self._as_written: dict[Place, str] = {}

    # -- places --------------------------------------------------------------------------------------------------

    def written(self, path: Place) -> Place:
        """Return a place with its misspelt keys as they are written."""
        return tuple(self._as_written.get(path[:depth], key) for depth, key in enumerate(path, 1))

    def node(self, path: Place) -> Any:
        """Return what stands at a place, or None."""
        node: Any = self.source.tree
        for key in self.written(path):
            try:
                node = node[key]
            except (KeyError, IndexError, TypeError):
                return None
        return node

    def names(self, table: str) -> list[str]:
        """Return the names that a table of components holds, faulty ones too."""
        node = self.node((table,))
        return list(dict.fromkeys([*(node if isinstance(node, dict) else ()), *self.specs[table]]))

    def called(self, path: Place) -> str:
        """Return a place in words, list entries by their name."""
        words: list[str] = []
        for depth, key in enumerate(path, 1):
            node = self.node(path[:depth])
            if isinstance(key, int) and isinstance(node, dict):
                words.append(str(node.get("name", node.get("type", key))))
            else:
                words.append(str(key))
        return ".".join(words)

    def _headed(self, path: Place) -> str:
        return f"[{self.called(path)}]" if path else "the recipe"

    def fault(
        self, path: Place, message: str, closest: Iterable[str] = (), allowed: Iterable[str] = (), hint: str = "",
        *, key: bool = False,
    ) -> None:  # fmt: skip
        """Note a fault of the value at a place, or of its key."""
        find = self.source.origin if key else self.source.value_origin
        self.faults.append(Fault(find(self.written(path)), message, tuple(allowed), tuple(closest), hint))

    # -- tables and options --------------------------------------------------------------------------------------

    def table(self, cls: type[BaseModel], raw: Any, path: Place, what: str = "") -> Any:
        """Validate a table against its model; a fault gives None."""
        if not isinstance(raw, dict):
            self.fault(path, f"{self.called(path)}: expected a table, found {found(raw)}")
            return None
        return self.validated(cls, self.spelt(raw, options(cls), path, what), path, what)

    def spelt(
        self, raw: Mapping[str, Any], known: Collection[str], path: Place, what: str = "",
        merging: Collection[str] = ("remove",),
    ) -> dict[str, Any]:  # fmt: skip
        """Return the known keys of a table; a misspelt one is a fault, and is read as the key it was meant for.

        Keys of `merging` have had their effect when recipes were laid over one another.
        """
        table = {key: value for key, value in raw.items() if key in known}
        for key in [key for key in raw if key not in known]:
            if key in merging:
                self.fault((*path, key), f"{self.called((*path, key))}: expected true, found {found(raw[key])}")
                continue
            closest = nearest(key, [*known, *merging])
            self.fault((*path, key), f'{self._headed(path)} has no key "{key}"{_of(what)}', closest, known, key=True)
            if closest and closest[0] in known and closest[0] not in table:
                table[closest[0]] = raw[key]
                self._as_written[(*path, closest[0])] = key
        return table

    def validated(
        self, cls: type[BaseModel], table: Mapping[str, Any], path: Place, what: str = "",
        done: Mapping[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """Validate a table whose keys are known; `done` holds options resolved before, None for a faulty one."""
        before, done = len(self.faults), done or {}
        values = dict(done)
        for key, info in options(cls).items():
            slot = marker(info, Slot)
            if key not in done and (key in table or (slot and slot.default)):
                values[key] = self.value(info, table.get(key), (*path, key))
        try:
            built = cls.model_validate({k: v for k, v in values.items() if v is not None}, strict=True)
        except ValidationError as error:
            self._explain(error, cls, {*table, *done}, path, what)
            return None
        return built if len(self.faults) == before and None not in done.values() else None

    def value(self, info: FieldInfo, raw: Any, path: Place) -> Any:
        """Resolve what pydantic cannot: components, schedules, nested tables, paths. A fault gives None."""
        kinds, scheduled = types(info.annotation), marker(info, Scheduled)
        models = [k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)]
        if (slot := marker(info, Slot)) is not None:
            return self._slot(slot, raw, path)
        if isinstance(raw, dict) and (scheduled or models):
            raw = self.schedule(raw, path) if scheduled else self.table(models[0], raw, path)
        elif isinstance(raw, str) and Path in kinds:
            raw = self._path(raw, path if marker(info, PathMark) else None)
        elif isinstance(raw, str) and (ref := marker(info, Ref)) is not None:
            self.references.append((raw, ref, path))
        elif isinstance(raw, float) and int in kinds and float not in kinds and raw.is_integer():
            raw = int(raw)
        elif isinstance(raw, list) and tuple in kinds:
            raw = _as_tuple(raw)
        if scheduled and isinstance(raw, int | float | Schedule) and not isinstance(raw, bool):
            raw = raw if isinstance(raw, Schedule) else float(raw)
            try:
                scheduled.check(raw)
            except ValueError as error:
                self.fault(path, f"{self.called(path)}: {error}")
        return raw

    def _path(self, text: str, relative_to: Place | None) -> Path:
        path = Path(text)
        if text.startswith("~"):
            return path.expanduser()
        return path if relative_to is None else self.source.base(self.written(relative_to)) / path

    def schedule(self, raw: dict[str, Any], path: Place) -> Schedule | None:
        """Resolve a number written as a schedule."""
        raw = self._with_type(raw, SCHEDULES, path)
        kind = raw.get("type")
        if kind is None:
            self.fault(path, f"{self.called(path)}: a schedule needs a type", (), SCHEDULES, key=True)
        elif not isinstance(kind, str) or kind not in SCHEDULES:
            text = f'{self.called(path)}: there is no schedule "{kind}"'
            self.fault((*path, "type"), text, nearest(str(kind), SCHEDULES), SCHEDULES)
        else:
            if isinstance(clock := raw.get("clock"), str):
                self.clocks.append((clock, (*path, "clock")))
            return self.table(SCHEDULES[kind], raw, path, f"schedule {kind}")  # type: ignore[no-any-return]
        return None

    def _with_type(self, raw: dict[str, Any], names: Collection[str], path: Place) -> dict[str, Any]:
        """Return a copy of a table; without a type, a key that looks like it and holds one of `names` is taken."""
        for key, value in raw.items() if "type" not in raw else ():
            if isinstance(value, str) and value in names and nearest(key, ["type"]):
                self.fault((*path, key), f'[{self.called(path)}] has no key "{key}"', ["type"], key=True)
                self._as_written[(*path, "type")] = key
                return {"type": value, **{k: v for k, v in raw.items() if k != key}}
        return dict(raw)

    def _explain(
        self, error: ValidationError, cls: type[BaseModel], given: Collection[str], path: Place, what: str
    ) -> None:
        """Put pydantic's errors into our words, one for each option."""
        first = {e["loc"][:1]: e for e in reversed(error.errors(include_url=False))}
        for loc, e in first.items():
            if not loc:
                self.fault(path, f"{self.called(path)}: {_reason(e)}", key=True)
                continue
            key, info = str(loc[0]), options(cls)[str(loc[0])]
            if e["type"] != "missing" or len(e["loc"]) > 1:
                self._wrong_value(e, info, (*path, *e["loc"]), (*path, key))
            elif key not in given:
                meaning = f": {info.description}" if info.description else ""
                self.fault(path, f'{self._headed(path)} lacks the key "{key}"{meaning}{_of(what)}', key=True)

    def _wrong_value(self, error: Any, info: FieldInfo, place: Place, option: Place) -> None:
        value, name = error["input"], self.called(option)
        if (names := choices(info)) and isinstance(value, str):
            self.fault(option, f'{name} cannot be "{value}"', nearest(value, names), names)
            return
        text = _reason(error) if error["type"] == "value_error" else f"expected {expected(info)}"
        self.fault(option if self.node(place) is None else place, f"{name}: {text}, found {found(value)}")

    # -- components ----------------------------------------------------------------------------------------------

    def components(self, raw: Any, kinds: str, table: str) -> None:
        """Resolve a table of components into `specs`."""
        if not isinstance(raw, dict):
            self.fault((table,), f"{table}: expected a table of components, found {found(raw)}")
            return
        for name, value in raw.items():
            if (spec := self.component(kinds, value, (table, name))) is not None:
                self.specs[table][name] = spec

    def _slot(self, slot: Slot, raw: Any, path: Place) -> Spec | None:
        if slot.default and raw is None:
            raw = slot.default
        elif slot.default and isinstance(raw, dict):
            raw = {"type": slot.default, **self._with_type(raw, self._named(slot.kinds), path)}
        return self.component(slot.kinds, raw, path)

    def _named(self, kinds: str) -> dict[str, Component]:
        """Return the components of some kinds by each of their names."""
        pool = [component for kind in kinds.split("|") for component in self.registry.components(kind)]
        return {name: component for component in pool for name in (component.name, component.full_name)}

    def component(self, kinds: str, raw: Any, path: Place) -> Spec | None:
        """Find a component by its type and validate its options."""
        chosen = self.choose(kinds, raw, path)
        return None if chosen is None else self.configured(*chosen, path)

    def choose(self, kinds: str, raw: Any, path: Place) -> tuple[Component, dict[str, Any]] | None:
        """Find a component by the type of its table; return it and its other keys."""
        raw = {"type": raw} if isinstance(raw, str) else raw
        if not isinstance(raw, dict):
            text = f"expected {a(_either(kinds))}, as a name or a table, found {found(raw)}"
            self.fault(path, f"{self.called(path)}: {text}")
            return None
        raw = self._with_type(raw, self._named(kinds), path)
        if not isinstance(name := raw.pop("type", None), str):
            self._miss_type(kinds, raw, path)
            return None
        component = self._find(kinds, name, (*path, "type"))
        return None if component is None else (component, raw)

    def _miss_type(self, kinds: str, raw: dict[str, Any], path: Place) -> None:
        """Note that a component has no type: it may be a change to another one whose name is misspelt."""
        text = f"[{self.called(path)}] needs a type: the name of {a(_either(kinds))}"
        misnamed = [key for key in raw if isinstance(path[-1], int) and key != "name" and nearest(key, ["name"])]
        if misnamed:
            self.fault((*path, misnamed[0]), f"{text}; or the name of one to change", ["name"], key=True)
        else:
            siblings = self.node(path[:-1])
            others = [other for other in siblings if other != path[-1]] if isinstance(siblings, dict) else []
            allowed = sorted({component.name for component in self._named(kinds).values()})
            self.fault(path, text, nearest(str(path[-1]), others), allowed, key=True)

    def configured(
        self, component: Component, table: dict[str, Any], path: Place, envelope: Collection[str] = ()
    ) -> Spec | None:
        """Validate a component's options, and keep in `table` the keys of `envelope`, which belong to somebody else."""
        try:
            config = self.registry.config(component)
        except UserError as error:
            reason, _, remedy = str(error).partition("\n")
            self.fault((*path, "type"), reason, hint=remedy)
            return None
        inherited = self.source.swapped.get(self.written(path), frozenset())
        known = [*options(config), *envelope]
        own = options(config)
        refused = {k: v for k, v in table.items() if k in inherited and k in own and not _takes(own[k], v)}
        lost = [key for key in table if key in inherited and (key not in known or key in refused)]
        if lost:
            said = ", ".join(f'{key} "{refused[key]}"' if key in refused else key for key in lost)
            text = f"is now {component.full_name}, which has no {said}: dropped"
            self.notes.append(f"{self.called(path)} {text}")
        kept = {key: value for key, value in table.items() if key not in lost}
        table.clear()
        table.update(self.spelt(kept, known, path, component.full_name, merging=("type", "remove")))
        given = {key: table.pop(key) for key in own if key in table and key not in envelope}
        validated = self.validated(config, given, path, component.full_name)
        return None if validated is None else Spec(component.kind, component.full_name, validated, self.called(path))

    def _find(self, kinds: str, name: str, path: Place) -> Component | None:
        try:
            return self.registry.find(kinds, name)
        except NotFound as error:
            text = f'there is no {_either(kinds)} "{name}"'
            closest = error.closest or nearest(name.rpartition("/")[2], error.available)
            self.fault(path, text, closest, error.available, self.remedy(error))
        except Ambiguous as error:
            self.fault(path, f'several plugins bring {a(_either(kinds))} "{name}"', (), error.full_names)
        return None

    def remedy(self, error: NotFound) -> str:
        """Say which plugin brings a component that was not found, or what its name stands for."""
        broken = next((b for b in self.registry.broken if b.plugin == error.plugin), None)
        if broken is not None:
            text = f"it comes with {broken.plugin}, which is installed but cannot be used: {broken.reason}"
            return f"{text}\n{broken.remedy}".rstrip()
        if error.plugin:
            return f"it comes with {error.plugin}: pip install {error.plugin}"
        kinds = [c.kind for c in self.registry.components() if error.name in (c.full_name, c.name)]
        return f'"{error.name}" is a {kinds[0]}' if kinds else ""


def _either(kinds: str) -> str:
    return kinds.replace("|", " or ")


def _of(what: str) -> str:
    return f"          ({what})" if what else ""


def _reason(error: Any) -> str:
    return str(error["msg"]).removeprefix("Value error, ")


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list) else value
