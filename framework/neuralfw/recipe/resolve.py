"""From a recipe's text to a resolved recipe: names found, options validated, every fault located and reported at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ..config import OPTIMISERS, DataConfig, Ref, Slot, Spec, _InputPathMark, options
from ..registry import Ambiguous, NotFound, Registry
from ..schedules import SCHEDULES, Scheduled
from ..suggest import nearest
from . import model as m
from .faults import Fault, RecipeError
from .source import Source

Path_ = tuple[str | int, ...]

_TERM_KEYS = ("name", "on", "weight", "to", "from", "until")
_EVENT_KEYS = ("name", "at", "from", "every", "until")


def resolve(source: Source, registry: Registry) -> tuple[m.Recipe, list[str]]:
    """Resolve a recipe against the installed components.

    Returns:
        The recipe, and notes on what was dropped or chosen along the way.

    Raises:
        RecipeError: with every fault of the recipe, each with its place.
    """
    resolver = _Resolver(source, registry)
    recipe = resolver.recipe()
    if resolver.faults or recipe is None:
        raise RecipeError(resolver.faults)
    return recipe, resolver.notes


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


class _Resolver:
    def __init__(self, source: Source, registry: Registry) -> None:
        self.source, self.registry = source, registry
        self.faults: list[Fault] = [*source.faults]
        self.notes: list[str] = []

    def fault(self, path: Path_, message: str, closest: Iterable[str] = (), allowed: Iterable[str] = (), hint: str = ""):
        self.faults.append(Fault(self.source.origin(path), message, tuple(allowed), tuple(closest), hint))

    def place(self, path: Path_) -> str:
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

    def recipe(self) -> m.Recipe | None:
        tree = dict(self.source.tree)
        data = self.components(tree.pop("data", {}), "dataset|sampler", ("data",))
        fields = self.components(tree.pop("fields", {}), "field", ("fields",))
        renderers = self.components(tree.pop("renderers", {}), "renderer", ("renderers",))
        for table, specs in (("data", data), ("fields", fields), ("renderers", renderers)):
            self.references(specs, (table,), data, fields)
        stages = self.stages(tree.pop("stages", None), data, fields, renderers)
        tree.setdefault("export", {})
        known = {*options(m.Recipe)} - {"data", "fields", "renderers", "stages"}
        for key in [k for k in tree if k not in known]:
            self.unknown((key,), key, options(m.Recipe), "the recipe", "")
            tree.pop(key)
        tree.setdefault("name", Path(self.source.files[0]).stem if self.source.files else "recipe")
        values = self.values(m.Recipe, {k: v for k, v in tree.items()}, (), skip=("data", "fields", "renderers", "stages"))
        values.update(data=data, fields=fields, renderers=renderers, stages=tuple(s for s in stages if s))
        return None if self.faults else self.build(m.Recipe, values, (), "the recipe")

    # -- one table -----------------------------------------------------------------------------------------------

    def unknown(self, path: Path_, key: str, allowed: Iterable[str], table: str, what: str) -> None:
        allowed = list(allowed)
        self.fault(path, f'{table} has no key "{key}"' + (f"          ({what})" if what else ""), nearest(key, allowed), allowed)

    def table(self, cls: type[BaseModel], raw: Any, path: Path_, what: str = "", skip: Sequence[str] = ()) -> Any:
        """Validate a table against its model; a fault gives None."""
        if not isinstance(raw, dict):
            self.fault(path, f"[{self.place(path)}] must be a table, found {_kind(raw)}")
            return None
        before = len(self.faults)
        known = [k for k in options(cls) if k not in skip]
        for key in raw:
            if key not in known:
                self.unknown((*path, key), key, known, f"[{self.place(path)}]", what)
        values = self.values(cls, {k: v for k, v in raw.items() if k in known}, path, skip)
        return self.build(cls, values, path, what) if len(self.faults) == before else None

    def values(self, cls: type[BaseModel], raw: dict[str, Any], path: Path_, skip: Sequence[str] = ()) -> dict[str, Any]:
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

    def bounds(self, scheduled: Scheduled | None, value: Any, path: Path_) -> None:
        if scheduled is not None and not isinstance(value, bool):
            try:
                scheduled.check(value)
            except ValueError as error:
                self.fault(path, f"{self.place(path)}: {error}")

    def build(self, cls: type[BaseModel], values: dict[str, Any], path: Path_, what: str) -> Any:
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            for e in error.errors(include_url=False):
                where = (*path, *(k for k in e["loc"] if (*path, k) != path))
                self.fault(where, _say(e, self.place(path), what))
            return None

    def schedule(self, raw: Any, path: Path_) -> Any:
        if not isinstance(raw, dict):
            self.fault(path, f"{self.place(path)}: expected a number or a schedule, found {_kind(raw)}")
            return None
        kind = raw.get("type")
        if kind not in SCHEDULES:
            text = f"{self.place(path)}: no schedule {kind!r}" if kind else f"{self.place(path)}: a schedule needs a type"
            self.fault((*path, "type") if kind else path, text, nearest(str(kind), SCHEDULES), SCHEDULES)
            return None
        return self.table(SCHEDULES[kind], raw, path, f"schedule {kind}")

    # -- components ----------------------------------------------------------------------------------------------

    def components(self, raw: Any, kinds: str, path: Path_) -> dict[str, Spec]:
        if not isinstance(raw, dict):
            self.fault(path, f"[{self.place(path)}] must be a table of components, found {_kind(raw)}")
            return {}
        specs = {name: self.component(kinds, value, (*path, name)) for name, value in raw.items()}
        return {name: spec for name, spec in specs.items() if spec is not None}

    def component(self, kinds: str, raw: Any, path: Path_, envelope: Sequence[str] = ()) -> Spec | None:
        """Find a component by its type and validate its options; keys of `envelope` belong to somebody else."""
        raw = {"type": raw} if isinstance(raw, str) else raw
        if not isinstance(raw, dict) or not isinstance(raw.get("type"), str):
            what = "a table with a type" if isinstance(raw, dict) else f"a name or a table, found {_kind(raw)}"
            self.fault(path, f"[{self.place(path)}] must be a {kinds.replace('|', ' or ')}: {what}")
            return None
        found = self.find(kinds, raw["type"], (*path, "type") if "type" in self._node(path) else path)
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

    def _node(self, path: Path_) -> Mapping[str, Any]:
        node: Any = self.source.tree
        for key in path:
            try:
                node = node[key]
            except (KeyError, IndexError, TypeError):
                return {}
        return node if isinstance(node, dict) else {}

    def find(self, kinds: str, name: str, path: Path_) -> Any:
        try:
            return self.registry.find(kinds, name)
        except NotFound as error:
            hint = f"it comes with {error.plugin}: pip install {error.plugin}" if error.plugin else ""
            text = f'no {kinds.replace("|", " or ")} "{name}"' + (" is installed" if error.plugin else "")
            self.fault(path, text, error.closest, error.available, hint)
        except Ambiguous as error:
            self.fault(path, str(error), error.full_names)
        return None

    def references(self, specs: Mapping[str, Spec], path: Path_, data: Mapping[str, Spec], fields: Mapping[str, Spec]) -> None:
        """Check that options which name a field or a data table name one that exists."""
        for name, spec in specs.items():
            for key, info in options(type(spec.config)).items():
                ref, value = marker(info, Ref), getattr(spec.config, key)
                if ref is None or value is None:
                    continue
                pool = data if ref.table == "data" else fields
                self.reference(str(value), ref, pool, (*path, name, key))

    def reference(self, value: str, ref: Ref, pool: Mapping[str, Spec], path: Path_) -> None:
        what = "data table" if ref.table == "data" else "field"
        head = value.partition(".")[0]
        if head not in pool:
            self.fault(path, f'no {what} "{head}" in this recipe', nearest(head, pool), pool)
        elif ref.role and (role := getattr(pool[head].config, "role", None)) != ref.role:
            fit = [n for n, s in pool.items() if getattr(s.config, "role", None) == ref.role]
            self.fault(path, f'field "{head}" is a {role} field; expected one of role {ref.role}', fit)

    # -- stages --------------------------------------------------------------------------------------------------

    def stages(
        self, raw: Any, data: dict[str, Spec], fields: dict[str, Spec], renderers: dict[str, Spec]
    ) -> list[m.Stage | None]:
        if not isinstance(raw, list) or not raw or not all(isinstance(s, dict) for s in raw):
            self.fault(("stages",), "a recipe needs at least one [[stages]] table")
            return []
        return [self.stage(s, ("stages", i), data, fields, renderers) for i, s in enumerate(raw)]

    def stage(
        self, raw: dict[str, Any], path: Path_, data: dict[str, Spec], fields: dict[str, Spec], renderers: dict[str, Spec]
    ) -> m.Stage | None:
        parts = ("train", "passes", "losses", "callbacks")
        known = options(m.Stage)
        for key in [k for k in raw if k not in known]:
            self.unknown((*path, key), key, known, f"[{self.place(path)}]", "")
        table = {k: v for k, v in raw.items() if k in known and k not in parts}
        table.setdefault("name", f"stage_{path[-1]}")
        if "steps" not in table:
            self.fault(path, f"[{self.place(path)}] needs steps: a number, or text like \"100 epochs\"")
        values = self.values(m.Stage, table, path, skip=parts)
        passes = self.passes(raw.get("passes"), (*path, "passes"), data, fields, renderers)
        values["passes"] = passes
        values["train"] = self.train(raw.get("train"), (*path, "train"), fields, renderers)
        values["losses"] = self.terms(raw.get("losses", []), (*path, "losses"), raw.get("passes") or {}, fields, renderers)
        values["callbacks"] = self.events(raw.get("callbacks", []), (*path, "callbacks"))
        update = values.get("update")
        if update is not None:
            self.references({"update": update}, path, data, fields)
        return None if self.faults else self.build(m.Stage, values, path, "stage")

    def passes(
        self, raw: Any, path: Path_, data: dict[str, Spec], fields: dict[str, Spec], renderers: dict[str, Spec]
    ) -> dict[str, m.Pass]:
        if not isinstance(raw, dict) or not raw:
            self.fault(path, f"[{self.place(path)}] must name at least one pass, as name = {{ data = …, renderer = … }}")
            return {}
        found = {name: self.one_pass(name, p, (*path, name), raw, data, fields, renderers) for name, p in raw.items()}
        return {name: p for name, p in found.items() if p is not None}

    def one_pass(
        self, name: str, raw: Any, path: Path_, siblings: Mapping[str, Any],
        data: dict[str, Spec], fields: dict[str, Spec], renderers: dict[str, Spec],
    ) -> m.Pass | None:  # fmt: skip
        if not isinstance(raw, dict):
            self.fault(path, f"[{self.place(path)}] must be a table, found {_kind(raw)}")
            return None
        own = [k for k in options(m.Pass) if k != "draw"]
        draw_cls = self.draw_options(name, raw.get("data"), (*path, "data"), siblings, data)
        extra = {k: v for k, v in raw.items() if k not in own}
        allowed = [*own, *(options(draw_cls) if draw_cls else ())]
        for key in [k for k in extra if k not in allowed]:
            self.unknown((*path, key), key, allowed, f"[{self.place(path)}]", "pass")
            extra.pop(key)
        values = self.values(m.Pass, {k: v for k, v in raw.items() if k in own}, path, skip=("draw",))
        if draw_cls is not None:
            values["draw"] = self.table(draw_cls, extra, path, "pass")
        self.renderer(values.get("renderer", "query"), (*path, "renderer"), renderers)
        for role, field in (raw.get("fields") or {}).items():
            self.reference(str(field), Ref("field", role), fields, (*path, "fields", role))
        for i, target in enumerate(raw.get("detach", ())):
            self.reference(str(target), Ref("field"), fields, (*path, "detach", i))
        return self.build(m.Pass, values, path, "pass")  # type: ignore[no-any-return]

    def draw_options(
        self, name: str, ref: Any, path: Path_, siblings: Mapping[str, Any], data: Mapping[str, Spec]
    ) -> type[BaseModel] | None:
        if ref is None or ref in siblings and ref != name:
            return None
        head, _, chosen = str(ref).partition(".")
        pool = {*data, *siblings} - {name}
        if head not in data:
            if head not in (self.source.tree.get("data") or {}):
                self.fault(path, f'no data table or pass "{head}" in this recipe', nearest(head, pool), sorted(pool))
            return None
        config = data[head].config
        assert isinstance(config, DataConfig)
        if chosen and chosen not in config.sets():
            sets = list(config.sets())
            self.fault(path, f'{data[head].name} has no set "{chosen}"', nearest(chosen, sets), sets)
        return config.Draw

    def renderer(self, name: Any, path: Path_, renderers: dict[str, Spec]) -> None:
        """Make sure that a renderer of this name exists: a table, or a type with its defaults."""
        if name in renderers or name in (self.source.tree.get("renderers") or {}):
            return
        try:
            self.registry.find("renderer", str(name))
        except NotFound as error:
            pool = [*renderers, *error.available]
            hint = f"it comes with {error.plugin}: pip install {error.plugin}" if error.plugin else ""
            self.fault(path, f'no table [renderers.{name}] and no renderer "{name}"', nearest(str(name), pool), pool, hint)
            return
        spec = self.component("renderer", str(name), ("renderers", str(name)))
        if spec is not None:
            renderers[str(name)] = spec

    def train(self, raw: Any, path: Path_, fields: Mapping[str, Spec], renderers: Mapping[str, Spec]) -> dict[str, Any]:
        if isinstance(raw, list):
            entries: dict[str, Any] = {str(name): {} for name in raw}
        elif isinstance(raw, dict):
            entries = raw
        else:
            text = "a list of fields, or a table of optimisers by field"
            self.fault(path, f"[{self.place(path[:-1])}] needs train: {text}, found {_kind(raw)}")
            return {}
        found: dict[str, Any] = {}
        for index, (name, table) in enumerate(entries.items()):
            here = (*path, index if isinstance(raw, list) else name)
            head, _, rest = name.partition(".")
            if head == "renderers":
                if rest.partition(".")[0] not in renderers:
                    self.fault(here, f'no renderer "{rest}" in this recipe', nearest(rest, renderers), renderers)
            elif head not in fields and head not in (self.source.tree.get("fields") or {}):
                self.fault(here, f'no field "{head}" in this recipe', nearest(head, fields), fields)
            found[name] = self.optimiser(table, here)
        return found

    def optimiser(self, raw: Any, path: Path_) -> Any:
        if raw == {}:
            return None
        kind = raw.get("type", "adam") if isinstance(raw, dict) else "adam"
        if kind not in OPTIMISERS:
            self.fault((*path, "type"), f"no optimiser {kind!r}", nearest(str(kind), OPTIMISERS), OPTIMISERS)
            return None
        return self.table(OPTIMISERS[kind], raw, path, f"optimiser {kind}")

    def terms(
        self, raw: Any, path: Path_, passes: Mapping[str, Any], fields: Mapping[str, Spec], renderers: Mapping[str, Spec]
    ) -> tuple[m.Term, ...]:
        found = []
        for here, entry in self.entries(raw, path):
            loss = self.component("loss", entry, here, envelope=_TERM_KEYS)
            envelope = {k: v for k, v in entry.items() if k in _TERM_KEYS}
            on = envelope.get("on", next(iter(passes), ""))
            envelope["on"] = (on,) if isinstance(on, str) else on
            envelope.setdefault("name", str(entry.get("type", "")).rpartition("/")[2])
            pool = [*passes, *fields, *(f"renderers.{r}" for r in renderers)]
            for target in envelope["on"] if isinstance(envelope["on"], list | tuple) else ():
                if target not in pool:
                    self.fault((*here, "on"), f'no pass or field "{target}" in this stage', nearest(target, pool), pool)
            if isinstance(envelope.get("to"), str):
                envelope["to"] = [envelope["to"]]
            for target in envelope.get("to") or ():
                if str(target).partition(".")[0] not in {*fields, "renderers"}:
                    self.fault((*here, "to"), f'no field "{target}" in this recipe', nearest(str(target), fields), fields)
            values = self.values(m.Term, envelope, here, skip=("loss",))
            if loss is not None:
                term = self.build(m.Term, {**values, "loss": loss}, here, "loss")
                found += [term] if term else []
        return self.unique(found, path)

    def events(self, raw: Any, path: Path_) -> tuple[m.Event, ...]:
        found = []
        for here, entry in self.entries(raw, path):
            callback = self.component("callback", entry, here, envelope=_EVENT_KEYS)
            envelope = {k: v for k, v in entry.items() if k in _EVENT_KEYS}
            envelope.setdefault("name", str(entry.get("type", "")).rpartition("/")[2])
            values = self.values(m.Event, envelope, here, skip=("callback",))
            if callback is not None:
                event = self.build(m.Event, {**values, "callback": callback}, here, "callback")
                found += [event] if event else []
        return self.unique(found, path)

    def entries(self, raw: Any, path: Path_) -> list[tuple[Path_, dict[str, Any]]]:
        if not isinstance(raw, list):
            self.fault(path, f"[{self.place(path)}] must be a list of tables, found {_kind(raw)}")
            return []
        pairs = [((*path, i), {"type": e} if isinstance(e, str) else e) for i, e in enumerate(raw)]
        for here, entry in pairs:
            if not isinstance(entry, dict):
                self.fault(here, f"[{self.place(path)}] must be a list of tables, found {_kind(entry)}")
        return [(here, entry) for here, entry in pairs if isinstance(entry, dict)]

    def unique(self, found: list[Any], path: Path_) -> tuple[Any, ...]:
        names: set[str] = set()
        for index, entry in enumerate(found):
            if entry.name in names:
                self.fault((*path, index), f'two entries are called "{entry.name}": give one of them a name')
            names.add(entry.name)
        return tuple(found)


def _kind(value: Any) -> str:
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
        close = difflib.get_close_matches(str(error["input"]), [t.strip("' ") for t in text.replace(" or ", ", ").split(",")], 1)
        return f"{where}: expected {text}, found {error['input']!r}" + (f"; closest: {close[0]}" if close else "")
    if error["type"] == "value_error":
        return f"{where}: {text}"
    return f"{where}: expected {text[0].lower() + text[1:]}, found {error['input']!r}"
