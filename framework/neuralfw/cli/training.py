"""The verbs that train: run and resume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from . import options as o
from .app import app
from .results import figures
from .tables import write


@app.command()
def run(
    recipe: o.Recipe,
    overrides: o.Overrides = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The run directory, new or empty; default: under runs/.")
    ] = None,
    start_from: Annotated[
        str | None,
        typer.Option("--from", metavar="RUN|FILE[:FIELD]", help="Start from a run's fields and frame, or from a file."),
    ] = None,
    device: o.Device = "auto",
    exclude: o.Excluded = None,
) -> None:
    """Train a recipe, then export and evaluate as it says.

    The last line of the output is the run directory. Ctrl-C saves the state: `neuralfw resume` goes on from it.
    """
    from ..session import train
    from .progress import Watcher

    watcher = Watcher()
    root = train(
        recipe,
        overrides or (),
        out=out,
        device=device,
        start_from=start_from,
        exclude=exclude or (),
        say=watcher.say,
        watchers=[watcher],
    )
    _results(root)


@app.command()
def resume(run: o.RunDirectory, device: o.Device = "auto", exclude: o.Excluded = None) -> None:
    """Go on with a run exactly where it stopped."""
    from ..session import resume
    from .progress import Watcher

    watcher = Watcher()
    _results(resume(run, device=device, exclude=exclude or (), say=watcher.say, watchers=[watcher]))


def _results(root: Path) -> None:
    for file in sorted((root / "eval").glob("*.json")):
        result = json.loads(file.read_text(encoding="utf-8"))
        if "protocol" in result:
            write([*figures(result), ""])
    typer.echo(str(root))
