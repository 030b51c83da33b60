"""The verb bench: many runs side by side."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..errors import UserError
from ..strict_json import dumps
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


@bench.command()
def grid(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="TOML: [[recipes]], [[scenes]], seeds; see the docs.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Runs and results; what it holds is gone on with. Default: FILE's name."
        ),
    ] = None,
    at_once: Annotated[int, typer.Option("--jobs", metavar="N", min=1, help="Runs on their way at a time.")] = 1,
    cluster: Annotated[
        Literal["local", "slurm"], typer.Option("--cluster", help="Processes of this machine, or jobs of SLURM.")
    ] = "local",
    device: o.Device = "auto",
    as_json: o.AsJson = False,
) -> None:
    """Run recipes on scenes over seeds, and tell mean, spread, time and memory.

    What is done is not done again, what was interrupted goes on, what failed is tried again. A run that fails stops no
    other; exit status 1 where one did. The table also goes to table.md in the folder, all values to table.json.
    """
    from ..bench.cell import FAILED
    from ..bench.grid import cells_of, read_grid
    from ..bench.spread import spread
    from ..bench.table import markdown, summary
    from ..geometry.files import write_file

    asked, folder = read_grid(file), (out or file.with_suffix("")).resolve()
    cells = cells_of(asked, file.resolve().parent)
    say = partial(typer.echo, err=True)
    results = spread(cells, folder, at_once=at_once, cluster=cluster, device=device, job=asked.job, tell=say)
    rows = summary(asked, cells, results)
    lines = [*markdown(asked, rows)]
    write_file(folder / "table.md", ("\n".join(lines) + "\n").encode())
    write_file(folder / "table.json", (dumps(rows, indent=2) + "\n").encode())
    if as_json:
        write_json(rows)
    else:
        write(lines)
    for cell, result in zip(cells, results, strict=True):
        if result["status"] == FAILED:
            say(f"{cell.name}: {result['reason']}")
    if any(result["status"] == FAILED for result in results):
        raise typer.Exit(1)


def _tell(done: int, of: int, what: str) -> None:
    typer.echo(f"{done + 1}/{of}  {what}", err=True)
