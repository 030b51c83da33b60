"""The verb list: what is installed, and what may stand in for what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ..columns import columns
from . import options as o
from .app import app
from .tables import write, write_json

if TYPE_CHECKING:
    from ..fits import Fit
    from ..registry import Registry


@app.command("list")
def list_(
    kind: Annotated[
        str | None, typer.Argument(metavar="[KIND]", help="Only these: field, encoder, renderer, loss, …, recipe.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option("--fits", metavar="RECIPE", help="What may replace each component of this recipe.")
    ] = None,
    overrides: o.Overrides = None,
    exclude: o.Excluded = None,
    as_json: o.AsJson = False,
) -> None:
    """List what is installed; with --fits, what may replace what.

    Components as owner/name, the owner being the plugin's, and the shipped recipes. --fits tries every component in
    every place of a recipe, as far as that goes without data.
    """
    if recipe is not None:
        _list_fits(recipe, overrides or [], exclude or [], kind, as_json)
        return
    from ..catalogue import entries
    from ..registry import discover

    registry = discover(exclude or ())
    found = entries(registry, kind)
    if as_json:
        unavailable = [asdict(b) for b in registry.broken]
        write_json({"installed": [asdict(entry) for entry in found], "unavailable": unavailable})
        return
    write([*columns((e.kind, e.name, e.summary) for e in found), *_unavailable(registry)])


def _unavailable(registry: Registry) -> Iterator[str]:
    if registry.broken:
        yield from ("", "unavailable")
        yield from (
            f"  {b.plugin}: {b.reason}{'; to mend it: ' if b.remedy else ''}{b.remedy}" for b in registry.broken
        )


def _list_fits(recipe: str, overrides: list[str], exclude: list[str], kind: str | None, as_json: bool) -> None:
    from ..fits import fits
    from ..session import check

    checked = check(recipe, overrides, exclude)
    found = [fit for fit in fits(checked, recipe, overrides) if kind is None or kind in fit.place.kinds.split("|")]
    if as_json:
        write_json([{**asdict(fit), "change": fit.change} for fit in found])
        return
    fitting = [fit for fit in found if not fit.reason]
    write(columns([("place", "now", "may be", ""), *map(_row, fitting)]))
    if refused := len(found) - len(fitting):
        typer.echo(f"\n{refused} others were tried and do not fit; --json gives the reason for each")
    if fitting:
        typer.echo(f"a swap is one line: --set {fitting[0].change}")


def _row(fit: Fit) -> tuple[str, str, str, str]:
    needs = [f"needs {', '.join(fit.needs)}"] if fit.needs else []
    return fit.place.path.removesuffix(".type"), fit.place.name, fit.name, "; ".join([*needs, *fit.notes])
