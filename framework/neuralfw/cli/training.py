"""The verbs that train: run and resume."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as o
from .app import app


@app.command()
def run(
    recipe: o.Recipe,
    overrides: o.Overrides = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The run directory, new or empty; default: under runs/.")
    ] = None,
    start_from: Annotated[
        str | None, typer.Option("--from", metavar="RUN[:FIELD]", help="Start from the fields and frame of a run.")
    ] = None,
    device: o.Device = "auto",
    exclude: o.Excluded = None,
) -> None:
    """Train a recipe, then export and evaluate as it says. The last line names the run directory."""
    from ..session import train

    root = train(
        recipe, overrides or (), out=out, device=device, start_from=start_from, exclude=exclude or (), say=_say
    )
    typer.echo(str(root))


@app.command()
def resume(run: o.RunDirectory, device: o.Device = "auto", exclude: o.Excluded = None) -> None:
    """Go on with a run exactly where it stopped."""
    from ..session import resume

    typer.echo(str(resume(run, device=device, exclude=exclude or (), say=_say)))


def _say(text: str) -> None:
    typer.echo(text, err=True)
