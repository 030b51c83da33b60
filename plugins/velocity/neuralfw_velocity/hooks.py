"""What the plugin takes part in: the verb `deform`, and `data convert` of the authors' folders. Imports no torch."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from neuralfw.cli.options import times_of
from neuralfw.hooks import hook


class Whose(StrEnum):
    """Of the two shapes of a pair."""

    SOURCE = "source"
    TARGET = "target"


@hook
def neuralfw_commands(app: typer.Typer) -> None:
    app.command()(deform)


@hook
def neuralfw_convert(source: Path, target: Path, photographs: Path | None) -> list[str] | None:
    from .official import convert, is_official

    return convert(source, target) if photographs is None and is_official(source) else None


def deform(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The directory of a run.")],
    times: Annotated[
        str, typer.Option("--times", metavar="T,T,…", help="When the mesh is written, in [0, 1].")
    ] = "0.25,0.5,0.75,1",
    shape: Annotated[
        str | None, typer.Option("--shape", metavar="NAME", help="The pair of a sequence, such as A-B; else every one.")
    ] = None,
    mesh: Annotated[
        Path | None,
        typer.Option("--mesh", metavar="FILE", help="A mesh at time 0, in the source's place; else the source."),
    ] = None,
    between: Annotated[
        list[Path] | None,
        typer.Option("--between", metavar="FILE", help="A true frame between the ends, in the source's vertex order."),
    ] = None,
    world: Annotated[
        Whose,
        typer.Option("--world", help="Whose world meshes are written in, where the target was laid onto the source."),
    ] = Whose.SOURCE,
    tracks: Annotated[
        int, typer.Option("--tracks", metavar="N", min=0, help="Write the ways of N vertices as lines, in an OBJ file.")
    ] = 0,
    film: Annotated[
        Path | None, typer.Option("--film", metavar="FILE", help="A film of it there and back: .gif, .mp4 or .png.")
    ] = None,
    animation: Annotated[
        Path | None,
        typer.Option("--animation", metavar="FILE", help="Also write the way from 0 to 1 as one animated .glb."),
    ] = None,
) -> None:
    """Carry the source mesh of a pair along the velocity, write it at some times, and measure it."""
    from .deform import Asked, deform

    asked = Asked(times_of(times), shape, mesh, between or (), world.value, tracks, film, animation)
    for line in deform(run, asked):
        typer.echo(line)
