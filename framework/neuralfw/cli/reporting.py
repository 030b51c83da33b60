"""The verb report: the page of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as o
from .app import app


@app.command()
def report(
    run: o.RunDirectory,
    reference: o.Reference = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Default: report.html in the run.")
    ] = None,
) -> None:
    """Write a page about a run: one file of HTML that opens without a network.

    It has the recipe and its wiring, curves, photographs beside renderings and their errors, the mesh from all around,
    coloured by its error where the truth is known, the figures of eval, times, memory, machine and notes. A run writes
    it when it ends; this verb writes it again, also of a run that is not finished.
    """
    from ..run import Run

    typer.echo(str(Run(run).report(output, reference=reference)))
