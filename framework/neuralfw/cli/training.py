"""The verbs that train: run and resume."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options as o
from .app import app
from .results import figures
from .tables import write

if TYPE_CHECKING:
    from .progress import Watcher


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
    view: o.Live = False,
    host: o.Host = "127.0.0.1",
    port: o.Port = 8080,
) -> None:
    """Train a recipe, then export and evaluate as it says.

    The last line of the output is the run directory. Ctrl-C saves the state: `neuralfw resume` goes on from it.
    """
    from ..session import check, train
    from .progress import Watcher

    watcher = Watcher()
    if view:
        check(recipe, overrides or (), exclude or ())  # a fault of the recipe is told before a server is opened
    with _shown(watcher, view, host, port) as watchers:
        root = train(
            recipe,
            overrides or (),
            out=out,
            device=device,
            start_from=start_from,
            exclude=exclude or (),
            say=watcher.say,
            watchers=watchers,
        )
    _results(root)


@app.command()
def resume(
    run: o.RunDirectory,
    device: o.Device = "auto",
    exclude: o.Excluded = None,
    view: o.Live = False,
    host: o.Host = "127.0.0.1",
    port: o.Port = 8080,
) -> None:
    """Go on with a run exactly where it stopped."""
    from ..session import resume
    from .progress import Watcher

    watcher = Watcher()
    with _shown(watcher, view, host, port) as watchers:
        root = resume(run, device=device, exclude=exclude or (), say=watcher.say, watchers=watchers)
    _results(root)


@contextmanager
def _shown(watcher: Watcher, view: bool, host: str, port: int) -> Iterator[list[object]]:
    """Give what watches the training, with a viewer if one is asked for, which is closed at the end."""
    if not view:
        yield [watcher]
        return
    from ..viewer.live import Live

    with Live(watcher.say, host=host, port=port) as live:
        watcher.say(f"viewer: {live.url}")
        yield [watcher, live]


def _results(root: Path) -> None:
    for file in sorted((root / "eval").glob("*.json")):
        result = json.loads(file.read_text(encoding="utf-8"))
        if "protocol" in result:
            write([*figures(result), ""])
    typer.echo(str(root))
