"""A wired recipe drawn in text: what flows from the data through each pass into the losses, and what that trains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .columns import columns, width
from .reach import Reach, reaches
from .recipe.model import Pass, Term, dump
from .recipe.toml_writer import inline
from .schedules import Schedule
from .session import Checked


def picture(checked: Checked) -> Iterator[str]:
    """Yield the wiring of a recipe, stage by stage."""
    for reach in reaches(checked):
        yield from _stage(reach)
        yield ""


def _stage(reach: Reach) -> Iterator[str]:
    stage, plan = reach.stage, reach.plan
    steps = f"{stage.steps:,} steps" if isinstance(stage.steps, int) else stage.steps
    yield f"stage {stage.name}: {steps}, update {stage.update.short}"
    for name in plan.passes:
        yield from _pass(reach, name)
    for term in stage.losses:
        if not {*term.on} & {*plan.passes}:
            yield f"  {', '.join(term.on)} ─▶ {_term(term)}"
    for event in stage.callbacks:
        yield f"  callback {event.name} ({event.callback.name})"
    yield "  trains"
    rows = []
    for entry, terms in reach.trained_by().items():
        rows.append((entry, ", ".join(terms) or "NO LOSS REACHES IT", _optimiser(stage.train[entry])))
    yield from columns(rows, "    ")


def _pass(reach: Reach, name: str) -> Iterator[str]:
    stage, plan = reach.stage, reach.plan
    table, wired = stage.passes[name], plan.passes[name]
    yield f"  pass {name}{_details(table)}"
    fields = reach.fields_of(name)
    source = f"{table.data} ─ {', '.join(sorted(wired.observed))} ─▶ " if table.data else ""
    left = f"    {source}{table.renderer} ({', '.join(fields) or 'no field'}) "
    branches = [(_used(term, wired.want), _term(term, name)) for term in stage.losses if name in term.on]
    readers = [n for n, p in plan.passes.items() if p.source == name]
    branches += [(", ".join(sorted(wired.want)), f"pass {reader}") for reader in readers]
    yield from _branches(left, branches)


def _branches(left: str, branches: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Yield the arrows that leave a renderer, each with what it carries; below it where there is no room beside it."""
    if not branches:
        yield left.rstrip()
        return
    wide = max(len(carried) for carried, _ in branches)
    right = [f"─ {carried} {'─' * (wide - len(carried))}─▶ {target}" for carried, target in branches]
    if len(left) + 1 + max(map(len, right)) > width():
        yield left.rstrip()
        left = " " * 6
        forks = ["├"] * (len(right) - 1) + ["└"]
    else:
        forks = ["┬" if len(right) > 1 else "─"] + ["├"] * (len(right) - 2) + ["└"] * (len(right) > 1)
    for index, (fork, text) in enumerate(zip(forks, right, strict=True)):
        yield (left if index == 0 else " " * len(left)) + fork + text


def _used(term: Term, want: frozenset[str]) -> str:
    needs = [need.removesuffix("?") for need in term.loss.config.wiring().needs]
    return ", ".join(need for need in needs if need in want)


def _term(term: Term, on: str = "") -> str:
    kind = f" ({term.loss.short})" if term.loss.short != term.name else ""
    text = f"{_number(term.weight)} × {term.name}{kind}"
    if observed := [q for q in term.loss.config.wiring().observes if not q.endswith("?")]:
        text += f" against {', '.join(observed)}"
    if others := [f"pass {target}" for target in term.on if target != on]:
        text += f", joined with {', '.join(others)}" if on else ""
    if term.to is not None:
        text += f", to {', '.join(term.to)}"
    return text


def _number(number: Any) -> str:
    if not isinstance(number, Schedule):
        return f"{number:g}"
    return f"{number.type} {' → '.join(f'{n:g}' for n in number.extremes())}"


def _details(table: Pass) -> str:
    """Return what is not at its default about when a pass has its turn and what it draws."""
    defaults = Pass.model_fields
    shown = {k: v for k, v in dump(table).items() if k not in ("data", "renderer") and not _is_default(k, v, defaults)}
    return f": {', '.join(f'{key} = {inline(value)}' for key, value in shown.items())}" if shown else ""


def _is_default(key: str, value: Any, defaults: Mapping[str, Any]) -> bool:
    return key in defaults and value == dump(defaults[key].get_default(call_default_factory=True))


def _optimiser(config: Any) -> str:
    if config is None:
        return "the field's own optimiser"
    return f"{config.type}, lr {_number(config.lr)}"
