"""The stages of a recipe: passes, what is trained, losses and callbacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from ..config import OPTIMISERS, DataConfig, Ref, options
from ..suggest import nearest
from . import model as m
from .references import refer, refer_to_renderer, refer_to_target
from .tables import Place, Tables
from .words import found

_ENTRIES: dict[str, type[m.Term | m.Event]] = {"loss": m.Term, "callback": m.Event}


class Stages:
    """Resolves stages against the data, fields and renderers of their recipe.

    A renderer that a pass names by its type joins the recipe's renderers with its defaults.
    """

    def __init__(self, tables: Tables) -> None:
        self.tables = tables

    def stages(self, raw: Any) -> list[m.Stage | None]:
        """Resolve the recipe's [[stages]]; a faulty one is None."""
        if not isinstance(raw, list):
            self.tables.fault(("stages",), f"stages: expected a list of tables, written [[stages]], found {found(raw)}")
            return [None]
        if not raw:
            self.tables.fault(("stages",), "stages is empty: a recipe needs at least one [[stages]] table")
        return [self._stage(stage, ("stages", index)) for index, stage in enumerate(raw)]

    def _stage(self, raw: Any, path: Place) -> m.Stage | None:
        if not isinstance(raw, dict):
            self.tables.fault(path, f"{self.tables.called(path)}: expected a table, found {found(raw)}")
            return None
        before = len(self.tables.faults)
        table = self.tables.spelt(raw, options(m.Stage), path, merging=("before", "remove"))
        table.setdefault("name", f"stage_{path[-1]}")
        passes = list(table["passes"]) if isinstance(table.get("passes"), dict) else []
        parts = {"passes": self._passes, "train": self._train}
        done: dict[str, Any] = {key: part(table[key], (*path, key)) for key, part in parts.items() if key in table}
        for key, kind in (("losses", "loss"), ("callbacks", "callback")):
            done[key] = self._entries(kind, table.get(key, []), (*path, key), passes)
        stage = self.tables.validated(m.Stage, table, path, "", done)
        return stage if len(self.tables.faults) == before else None

    # -- passes --------------------------------------------------------------------------------------------------

    def _passes(self, raw: Any, path: Place) -> dict[str, m.Pass] | None:
        if not isinstance(raw, dict) or not raw:
            text = f"{self.tables.called(path)}: expected at least one pass, as name = {{ data = …, renderer = … }}"
            self.tables.fault(path, f"{text}, found {found(raw) if raw else 'none'}")
            return None
        passes = {name: self._pass(name, table, (*path, name), raw) for name, table in raw.items()}
        resolved = {name: p for name, p in passes.items() if p is not None}
        return resolved if len(resolved) == len(raw) else None

    def _pass(self, name: str, raw: Any, path: Place, siblings: Mapping[str, Any]) -> m.Pass | None:
        if not isinstance(raw, dict):
            self.tables.fault(path, f"{self.tables.called(path)}: expected a table, found {found(raw)}")
            return None
        others = nearest(name, [other for other in siblings if other != name])
        if others and not {"data", "renderer"} & raw.keys():
            self.tables.fault(path, f'pass "{name}" has no data', others, key=True)
            return None
        own = [key for key in options(m.Pass) if key != "draw"]
        draw = self._draw_options(name, raw.get("data"), (*path, "data"), siblings)
        known = [*own, *(raw if draw is None else options(draw))]
        table = self.tables.spelt(raw, known, path)
        drawing = {key: table.pop(key) for key in known if key in table and key not in own}
        self._check_names(table, path)
        done = {} if draw is None else {"draw": self.tables.validated(draw, drawing, path)}
        return self.tables.validated(m.Pass, table, path, "", done)  # type: ignore[no-any-return]

    def _check_names(self, table: Mapping[str, Any], path: Place) -> None:
        renderer, fields, detach = table.get("renderer", "query"), table.get("fields"), table.get("detach")
        if isinstance(renderer, str):
            refer_to_renderer(self.tables, renderer, (*path, "renderer"))
        for role, field in fields.items() if isinstance(fields, dict) else ():
            self._role(role, field, (*path, "fields", role))
        for index, target in enumerate(detach) if isinstance(detach, list) else ():
            if isinstance(target, str):
                refer_to_target(self.tables, target, (*path, "detach", index))

    def _role(self, role: str, field: Any, path: Place) -> None:
        roles = dict.fromkeys(c.role for c in self.tables.registry.components("field") if c.role)
        if role not in roles:
            self.tables.fault(path, f'there is no role "{role}"', nearest(role, roles), roles, key=True)
        elif isinstance(field, str):
            refer(self.tables, field, Ref("field", role), path)

    def _draw_options(self, name: str, data: Any, path: Place, siblings: Mapping[str, Any]) -> type[BaseModel] | None:
        """Return the model of what a pass may say about drawing its data, or None if its data are not known."""
        if data is None or (isinstance(data, str) and data in siblings and data != name):
            return DataConfig.Draw
        head, _, chosen = data.partition(".") if isinstance(data, str) else ("", "", "")
        if isinstance(data, str) and head not in self.tables.names("data"):
            pool = [*self.tables.names("data"), *(other for other in siblings if other != name)]
            self.tables.fault(path, f'there is no data table or pass "{head}"', nearest(head, pool), pool)
        if (spec := self.tables.specs["data"].get(head)) is None:
            return None
        assert isinstance(spec.config, DataConfig)
        sets = [*spec.config.sets()]
        if chosen and chosen not in sets:
            closest = [f"{head}.{other}" for other in nearest(chosen, sets)]
            self.tables.fault(path, f'data "{head}" ({spec.name}) has no set "{chosen}"', closest, sets)
        return spec.config.Draw

    # -- train ---------------------------------------------------------------------------------------------------

    def _train(self, raw: Any, path: Place) -> dict[str, Any] | None:
        is_list = isinstance(raw, list) and all(isinstance(name, str) for name in raw)
        if not is_list and not isinstance(raw, dict):
            text = "expected a list of fields, or a table of optimisers by field"
            self.tables.fault(path, f"{self.tables.called(path)}: {text}, found {found(raw)}")
            return None
        resolved: dict[str, Any] = {}
        for index, name in enumerate(raw):
            here = (*path, index if is_list else name)
            refer_to_target(self.tables, name, here, key=True)
            resolved[name] = None if is_list else self._optimiser(raw[name], here)
        return resolved

    def _optimiser(self, raw: Any, path: Place) -> Any:
        if raw == {}:
            return None
        raw = {"type": raw} if isinstance(raw, str) else raw
        kind = raw.get("type", "adam") if isinstance(raw, dict) else "adam"
        if not isinstance(kind, str) or kind not in OPTIMISERS:
            text = f'{self.tables.called(path)}: there is no optimiser "{kind}"'
            self.tables.fault((*path, "type"), text, nearest(str(kind), OPTIMISERS), OPTIMISERS)
            return None
        return self.tables.table(OPTIMISERS[kind], raw, path, f"optimiser {kind}")

    # -- losses and callbacks ------------------------------------------------------------------------------------

    def _entries(self, kind: str, raw: Any, path: Place, passes: list[str]) -> tuple[Any, ...] | None:
        """Resolve the losses or the callbacks of a stage."""
        if not isinstance(raw, list):
            self.tables.fault(path, f"{self.tables.called(path)}: expected a list of tables, found {found(raw)}")
            return None
        resolved = [self._entry(kind, entry, (*path, index), passes) for index, entry in enumerate(raw)]
        return tuple(resolved) if all(resolved) else None

    def _entry(self, kind: str, raw: Any, path: Place, passes: list[str]) -> m.Term | m.Event | None:
        """Resolve a component with its place in the stage, whose keys stand beside the component's options."""
        model = _ENTRIES[kind]
        own = [key for key in options(model) if key != kind]
        chosen = self.tables.choose(kind, raw, path)
        if chosen is None:
            table = {key: value for key, value in raw.items() if key in own} if isinstance(raw, dict) else {}
            spec = None
        else:
            component, table = chosen
            spec = self.tables.configured(component, table, path, envelope=own)
            table.setdefault("name", component.name)
        if kind == "loss":
            self._complete(table, path, passes)
        return self.tables.validated(model, {"name": "", **table}, path, "", {kind: spec})  # type: ignore[no-any-return]

    def _complete(self, term: dict[str, Any], path: Place, passes: list[str]) -> None:
        """Give a loss its default pass, write single names as lists, and check them."""
        term.setdefault("on", passes[:1])
        fields, renderers = self.tables.names("fields"), self.tables.names("renderers")
        pool = [*passes, *fields, *(f"renderers.{name}" for name in renderers)]
        for target, place in self._listed(term, "on", path):
            if passes and target not in pool:
                text = f'there is no pass or field "{target}" for a loss to be on'
                self.tables.fault(place, text, nearest(target, pool), pool)
        for target, place in self._listed(term, "to", path):
            refer_to_target(self.tables, target, place)

    def _listed(self, term: dict[str, Any], key: str, path: Place) -> Iterator[tuple[str, Place]]:
        """Write a single name as a list; yield the names with their places."""
        if isinstance(names := term.get(key), str):
            term[key] = [names]
            yield names, (*path, key)
        for index, name in enumerate(names) if isinstance(names, list) else ():
            if isinstance(name, str):
                yield name, (*path, key, index)
