"""The verb check."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from ..columns import columns
from . import options as o
from .app import app
from .tables import write, write_json

if TYPE_CHECKING:
    from ..estimate import Estimate
    from ..session import Checked


@app.command()
def check(
    recipe: o.Recipe, overrides: o.Overrides = None, exclude: o.Excluded = None, as_json: o.AsJson = False
) -> None:
    """Find every fault of a recipe; print its wiring and its size.

    Nothing is run: parameters and memory are estimated, and data that is absent is a note, not a fault.
    """
    from ..recipe.faults import RecipeError
    from ..session import check

    try:
        checked = check(recipe, overrides or (), exclude or ())
    except RecipeError as error:
        if not as_json:
            raise
        write_json({"faults": [_fault(fault) for fault in error.faults]})
        raise typer.Exit(2) from None

    from ..estimate import estimate

    size = estimate(checked)
    notes = [*checked.notes, *_idle(checked), *absent_data(checked), *size.notes]
    if as_json:
        write_json({"faults": [], **_facts(checked, size, notes)})
    else:
        write(_text(checked, size, notes))


def _fault(fault: Any) -> dict[str, Any]:
    origin = fault.origin
    place = {"file": str(origin.file) if origin.file else None, "line": origin.line, "column": origin.column}
    names = {"closest": [*fault.closest], "allowed": [*fault.allowed]}
    return {**place, "message": fault.message, **names, "hint": fault.hint}


def _idle(checked: Checked) -> Iterator[str]:
    """Yield a note for each entry of a `train` that no loss reaches: the run would be refused at its stage."""
    from ..reach import reaches

    for reach in reaches(checked):
        for entry, terms in reach.trained_by().items():
            if not terms:
                yield f"stage {reach.stage.name} trains {entry}, but no loss reaches it: take it out, or add a loss"


def absent_data(checked: Checked) -> Iterator[str]:
    """Yield a note for each file or folder that the recipe's data name and that does not exist."""
    from ..describe import inputs_of

    for key, path in inputs_of(checked.recipe).items():
        if not path.exists():
            yield f"{key}: {path} does not exist yet"


def _text(checked: Checked, size: Estimate, notes: list[str]) -> Iterator[str]:
    from ..wiring_picture import picture

    recipe = checked.recipe
    yield f"{recipe.name}: {recipe.summary}" if recipe.summary else recipe.name
    yield " extends ".join(str(file) for file in checked.source.files)
    yield ""
    yield from picture(checked)
    yield "parameters"
    per_item = {name: f"for each item of {data}" for name, data in size.per_item.items()}
    yield from columns([(n, f"{count:,}", per_item.get(n, "")) for n, count in size.parameters.items()], "  ")
    yield ""
    yield f"memory beside torch and the data: about {in_bytes(size.peak)}"
    steps = [(f"a step of stage {n}, at most", in_bytes(s)) for n, s in size.step.items() if s is not None]
    yield from columns([("parameters, gradients, optimiser", in_bytes(size.state)), *steps], "  ")
    if notes:
        yield ""
        yield from (f"note: {note}" for note in notes)


def in_bytes(count: int) -> str:
    """Return a number of bytes with the unit that suits it, to two digits or more."""
    size, unit = float(count), "bytes"
    for larger in ("KiB", "MiB", "GiB"):
        if size >= 1024:
            size, unit = size / 1024, larger
    return f"{size:,.0f} {unit}" if size >= 10 else f"{size:.1f} {unit}"


def _facts(checked: Checked, size: Estimate, notes: list[str]) -> dict[str, Any]:
    from dataclasses import asdict

    from ..reach import reaches

    stages = {}
    for reach in reaches(checked):
        stage, plan = reach.stage, reach.plan
        passes = {
            name: {
                "data": stage.passes[name].data,
                "renderer": stage.passes[name].renderer,
                "fields": dict(p.roles),
                "observed": sorted(p.observed),
                "predicted": sorted(p.want),
            }
            for name, p in plan.passes.items()
        }
        losses = {t.name: {"type": t.loss.name, "on": [*t.on]} for t in stage.losses}
        trained = reach.trained_by()
        stages[stage.name] = {"steps": stage.steps, "passes": passes, "losses": losses, "trained_by": trained}
    return {"name": checked.recipe.name, "stages": stages, **asdict(size), "peak": size.peak, "notes": notes}
