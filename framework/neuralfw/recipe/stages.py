"""The stages of a recipe: passes, what is trained, losses and callbacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from ..config import OPTIMISERS, DataConfig, Ref, Spec, options
from ..registry import NotFound
from ..suggest import nearest
from . import model as m
from .tables import Place, Tables, kind_of

_TERM_KEYS = ("name", "on", "weight", "to", "from", "until")
_EVENT_KEYS = ("name", "at", "from", "every", "until")


class Stages:
    """Resolves stages against the data, fields and renderers of their recipe.

    A renderer that a pass names by its type joins `renderers` with its defaults.
    """

    def __init__(
        self, tables: Tables, data: dict[str, Spec], fields: dict[str, Spec], renderers: dict[str, Spec]
    ) -> None:
        self.tables, self.data, self.fields, self.renderers = tables, data, fields, renderers

    def stages(self, raw: Any) -> list[m.Stage | None]:
        """Resolve the recipe's [[stages]]; a faulty one is None."""
        if not isinstance(raw, list) or not raw or not all(isinstance(s, dict) for s in raw):
            self.tables.fault(("stages",), "a recipe needs at least one [[stages]] table")
            return []
        return [self._stage(s, ("stages", i)) for i, s in enumerate(raw)]

    def _stage(self, raw: dict[str, Any], path: Place) -> m.Stage | None:
        parts = ("train", "passes", "losses", "callbacks")
        known = options(m.Stage)
        for key in [k for k in raw if k not in known]:
            self.tables.unknown((*path, key), key, known, f"[{self.tables.place(path)}]", "")
        table = {k: v for k, v in raw.items() if k in known and k not in parts}
        table.setdefault("name", f"stage_{path[-1]}")
        if "steps" not in table:
            self.tables.fault(path, f'[{self.tables.place(path)}] needs steps: a number, or text like "100 epochs"')
        values = self.tables.values(m.Stage, table, path, skip=parts)
        values["passes"] = self._passes(raw.get("passes"), (*path, "passes"))
        values["train"] = self._train(raw.get("train"), (*path, "train"))
        values["losses"] = self._terms(raw.get("losses", []), (*path, "losses"), raw.get("passes") or {})
        values["callbacks"] = self._events(raw.get("callbacks", []), (*path, "callbacks"))
        update = values.get("update")
        if update is not None:
            self.tables.references({"update": update}, path, self.data, self.fields)
        return None if self.tables.faults else self.tables.build(m.Stage, values, path, "stage")

    def _passes(self, raw: Any, path: Place) -> dict[str, m.Pass]:
        if not isinstance(raw, dict) or not raw:
            self.tables.fault(
                path, f"[{self.tables.place(path)}] must name at least one pass, as name = {{ data = …, renderer = … }}"
            )
            return {}
        found = {name: self._pass(name, p, (*path, name), raw) for name, p in raw.items()}
        return {name: p for name, p in found.items() if p is not None}

    def _pass(self, name: str, raw: Any, path: Place, siblings: Mapping[str, Any]) -> m.Pass | None:
        if not isinstance(raw, dict):
            self.tables.fault(path, f"[{self.tables.place(path)}] must be a table, found {kind_of(raw)}")
            return None
        own = [k for k in options(m.Pass) if k != "draw"]
        draw_cls = self._draw_options(name, raw.get("data"), (*path, "data"), siblings)
        extra = {k: v for k, v in raw.items() if k not in own}
        allowed = [*own, *(options(draw_cls) if draw_cls else ())]
        for key in [k for k in extra if k not in allowed]:
            self.tables.unknown((*path, key), key, allowed, f"[{self.tables.place(path)}]", "pass")
            extra.pop(key)
        values = self.tables.values(m.Pass, {k: v for k, v in raw.items() if k in own}, path, skip=("draw",))
        if draw_cls is not None:
            values["draw"] = self.tables.table(draw_cls, extra, path, "pass")
        self._renderer(values.get("renderer", "query"), (*path, "renderer"))
        for role, field in (raw.get("fields") or {}).items():
            self.tables.reference(str(field), Ref("field", role), self.fields, (*path, "fields", role))
        for i, target in enumerate(raw.get("detach", ())):
            self.tables.reference(str(target), Ref("field"), self.fields, (*path, "detach", i))
        return self.tables.build(m.Pass, values, path, "pass")  # type: ignore[no-any-return]

    def _draw_options(self, name: str, ref: Any, path: Place, siblings: Mapping[str, Any]) -> type[BaseModel] | None:
        if ref is None or (ref in siblings and ref != name):
            return None
        head, _, chosen = str(ref).partition(".")
        pool = {*self.data, *siblings} - {name}
        if head not in self.data:
            if head not in (self.tables.source.tree.get("data") or {}):
                self.tables.fault(
                    path, f'no data table or pass "{head}" in this recipe', nearest(head, pool), sorted(pool)
                )
            return None
        config = self.data[head].config
        assert isinstance(config, DataConfig)
        if chosen and chosen not in config.sets():
            sets = list(config.sets())
            self.tables.fault(path, f'{self.data[head].name} has no set "{chosen}"', nearest(chosen, sets), sets)
        return config.Draw

    def _renderer(self, name: Any, path: Place) -> None:
        """Make sure that a renderer of this name exists: a table, or a type with its defaults."""
        if name in self.renderers or name in (self.tables.source.tree.get("renderers") or {}):
            return
        try:
            self.tables.registry.find("renderer", str(name))
        except NotFound as error:
            pool = [*self.renderers, *error.available]
            hint = f"it comes with {error.plugin}: pip install {error.plugin}" if error.plugin else ""
            self.tables.fault(
                path, f'no table [renderers.{name}] and no renderer "{name}"', nearest(str(name), pool), pool, hint
            )
            return
        spec = self.tables.component("renderer", str(name), ("renderers", str(name)))
        if spec is not None:
            self.renderers[str(name)] = spec

    def _train(self, raw: Any, path: Place) -> dict[str, Any]:
        if isinstance(raw, list):
            entries: dict[str, Any] = {str(name): {} for name in raw}
        elif isinstance(raw, dict):
            entries = raw
        else:
            text = "a list of fields, or a table of optimisers by field"
            self.tables.fault(path, f"[{self.tables.place(path[:-1])}] needs train: {text}, found {kind_of(raw)}")
            return {}
        found: dict[str, Any] = {}
        for index, (name, table) in enumerate(entries.items()):
            here = (*path, index if isinstance(raw, list) else name)
            head, _, rest = name.partition(".")
            if head == "renderers":
                if rest.partition(".")[0] not in self.renderers:
                    self.tables.fault(
                        here, f'no renderer "{rest}" in this recipe', nearest(rest, self.renderers), self.renderers
                    )
            elif head not in self.fields and head not in (self.tables.source.tree.get("fields") or {}):
                self.tables.fault(here, f'no field "{head}" in this recipe', nearest(head, self.fields), self.fields)
            found[name] = self._optimiser(table, here)
        return found

    def _optimiser(self, raw: Any, path: Place) -> Any:
        if raw == {}:
            return None
        kind = raw.get("type", "adam") if isinstance(raw, dict) else "adam"
        if kind not in OPTIMISERS:
            self.tables.fault((*path, "type"), f"no optimiser {kind!r}", nearest(str(kind), OPTIMISERS), OPTIMISERS)
            return None
        return self.tables.table(OPTIMISERS[kind], raw, path, f"optimiser {kind}")

    def _terms(self, raw: Any, path: Place, passes: Mapping[str, Any]) -> tuple[m.Term, ...]:
        found = []
        for here, entry in self._entries(raw, path):
            loss = self.tables.component("loss", entry, here, envelope=_TERM_KEYS)
            envelope = {k: v for k, v in entry.items() if k in _TERM_KEYS}
            on = envelope.get("on", next(iter(passes), ""))
            envelope["on"] = (on,) if isinstance(on, str) else on
            envelope.setdefault("name", str(entry.get("type", "")).rpartition("/")[2])
            pool = [*passes, *self.fields, *(f"renderers.{r}" for r in self.renderers)]
            for target in envelope["on"] if isinstance(envelope["on"], list | tuple) else ():
                if target not in pool:
                    self.tables.fault(
                        (*here, "on"), f'no pass or field "{target}" in this stage', nearest(target, pool), pool
                    )
            if isinstance(envelope.get("to"), str):
                envelope["to"] = [envelope["to"]]
            for target in envelope.get("to") or ():
                if str(target).partition(".")[0] not in {*self.fields, "renderers"}:
                    self.tables.fault(
                        (*here, "to"),
                        f'no field "{target}" in this recipe',
                        nearest(str(target), self.fields),
                        self.fields,
                    )
            values = self.tables.values(m.Term, envelope, here, skip=("loss",))
            if loss is not None:
                term = self.tables.build(m.Term, {**values, "loss": loss}, here, "loss")
                found += [term] if term else []
        return self._unique(found, path)

    def _events(self, raw: Any, path: Place) -> tuple[m.Event, ...]:
        found = []
        for here, entry in self._entries(raw, path):
            callback = self.tables.component("callback", entry, here, envelope=_EVENT_KEYS)
            envelope = {k: v for k, v in entry.items() if k in _EVENT_KEYS}
            envelope.setdefault("name", str(entry.get("type", "")).rpartition("/")[2])
            values = self.tables.values(m.Event, envelope, here, skip=("callback",))
            if callback is not None:
                event = self.tables.build(m.Event, {**values, "callback": callback}, here, "callback")
                found += [event] if event else []
        return self._unique(found, path)

    def _entries(self, raw: Any, path: Place) -> list[tuple[Place, dict[str, Any]]]:
        if not isinstance(raw, list):
            self.tables.fault(path, f"[{self.tables.place(path)}] must be a list of tables, found {kind_of(raw)}")
            return []
        pairs = [((*path, i), {"type": e} if isinstance(e, str) else e) for i, e in enumerate(raw)]
        for here, entry in pairs:
            if not isinstance(entry, dict):
                self.tables.fault(here, f"[{self.tables.place(path)}] must be a list of tables, found {kind_of(entry)}")
        return [(here, entry) for here, entry in pairs if isinstance(entry, dict)]

    def _unique(self, found: list[Any], path: Place) -> tuple[Any, ...]:
        names: set[str] = set()
        for index, entry in enumerate(found):
            if entry.name in names:
                self.tables.fault((*path, index), f'two entries are called "{entry.name}": give one of them a name')
            names.add(entry.name)
        return tuple(found)
