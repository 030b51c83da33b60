"""The verb compare: runs side by side, on the terminal and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options as o
from .app import app
from .tables import write_json

if TYPE_CHECKING:
    from ..pages.comparison import Difference, Table

LONGEST = 30
"""Characters of a value of a recipe that are shown."""


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN…", help="The directories of two or more runs.")],
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write a page with pictures and curves.")
    ] = None,
    as_json: o.AsJson = False,
) -> None:
    """Put runs side by side: what differs in their recipes, whose figures are better and by how much.

    The figures are those of the evaluations that the runs have had. The page shows them too, with the meshes and what
    the runs render from the same cameras, those of the first run, and the curves of all runs in one chart each.
    """
    from ..pages.comparison import differences, named, tables
    from ..pages.records import Record

    records = [Record(run) for run in runs]
    names = named(records)
    found, compared = differences(records), tables(records)
    if as_json:
        write_json(
            {"runs": names, "recipe": [asdict(d) for d in found], "tables": [asdict(table) for table in compared]}
        )
    else:
        _show(names, found, compared)
    if html is not None:
        from ..pages.compare import write_comparison
        from ..run import Run

        write_comparison([Run(run) for run in runs], html)
        typer.echo(str(html), err=as_json)


def _show(names: Sequence[str], found: Sequence[Difference], compared: Sequence[Table]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as Grid

    from ..pages.charts import number

    console = Console(highlight=False)
    for table in compared:
        caption = "; ".join(table.doubts) or None
        grid = Grid(title=table.title, title_justify="left", caption=caption, caption_justify="left", box=None)
        grid.add_column("figure")
        for name in names:
            grid.add_column(name, justify="right", overflow="fold")
        grid.add_column("unit")
        grid.add_column("better", overflow="fold")
        for row in table.rows:
            cells = ["–" if value is None else number(value) for value in row.values]
            if row.best is not None:
                cells[row.best] = f"[bold green]{cells[row.best]}[/]"
            by = "" if row.best is None else names[row.best] + (f", by {row.by}" if row.by else "")
            grid.add_row(row.name, *cells, "" if row.unit == "1" else row.unit, escape(by))
        console.print(grid)
        console.print()
    grid = Grid(title="what differs in the recipes", title_justify="left", box=None)
    grid.add_column("key", overflow="fold")
    for name in names:
        grid.add_column(name, overflow="fold")
    for difference in found:
        grid.add_row(escape(difference.key), *(escape(_short(value)) for value in difference.values))
    console.print(grid if found else "the recipes are the same")


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
