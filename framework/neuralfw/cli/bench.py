"""The verb bench: many runs side by side."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UserError
from . import options as o
from .app import app
from .tables import write, write_json

bench = typer.Typer(help="Many runs side by side.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(bench, name="bench")


@bench.callback()
def _group() -> None:
    pass


@bench.command()
def matrix(
    recipes: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[RECIPE]...", help="Small recipes to mix around; default: those that are shipped."),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="JSON lines; what it holds is not tried again.")
    ] = Path("matrix.jsonl"),
    sample: Annotated[
        int | None, typer.Option("--sample", min=1, metavar="N", help="Try N of those that fit, drawn by --seed.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the sample.")] = 0,
    as_json: o.AsJson = False,
) -> None:
    """Try every combination of SDF field, encoder, renderer and update.

    Each recipe brings data and losses. A combination that the wiring accepts is trained for some fifty steps and works
    if every term stays finite, the total falls, each trained field moves and a mesh, Gaussians or a picture comes out.
    Exit status 1 where one does not.
    """
    from ..mixing.combinations import shipped_bases
    from ..mixing.matrix import FAILS, run_matrix, table

    files = [str(path) for path in recipes or ()]
    if missing := [path for path in files if not Path(path).is_file()]:
        raise UserError(f"no recipe {missing[0]}")
    rows = run_matrix(files or shipped_bases(), out, sample=sample, seed=seed, tell=_tell)
    if as_json:
        write_json([asdict(row) for row in rows])
    else:
        counts = Counter(row.verdict for row in rows)
        write([*table(rows), ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))])
        for row in rows:
            if row.verdict == FAILS:
                typer.echo(f"{row.recipe}: {' + '.join(filter(None, row.parts))}: {row.reason}", err=True)
    if any(row.verdict == FAILS for row in rows):
        raise typer.Exit(1)


def _tell(done: int, of: int, what: str) -> None:
    typer.echo(f"{done + 1}/{of}  {what}", err=True)
