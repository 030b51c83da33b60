"""The verb render: pictures and films of a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..errors import UserError
from . import options as o
from .app import app


@app.command()
def render(
    run: o.RunDirectory,
    cameras: Annotated[
        str,
        typer.Option(
            "--cameras",
            metavar="NAME|FILE",
            help="orbit; train or test, the photographs'; or nerfstudio's camera path.",
        ),
    ] = "orbit",
    what: Annotated[
        str, typer.Option("--what", metavar="NAME,…", help="Of rgb, depth, normal, mask; several side by side.")
    ] = "rgb",
    times: Annotated[
        str,
        typer.Option(
            "--times", metavar="T,T,…", help="Times that the film runs through; default: 0,1, or the photographs'."
        ),
    ] = "",
    frames: Annotated[int, typer.Option("--frames", min=1, help="Pictures of an orbit.")] = 60,
    fps: Annotated[int, typer.Option("--fps", min=1, max=100, help="Pictures a second.")] = 20,
    size: Annotated[
        int | None, typer.Option("--size", metavar="N", min=16, help="Pixels along the longer edge of a picture.")
    ] = None,
    elevation: Annotated[float, typer.Option("--elevation", min=-85, max=85, help="Of an orbit, degrees.")] = 20.0,
    up: Annotated[
        Literal["x", "y", "z"] | None,
        typer.Option("--up", help="Axis of an orbit; default: the photographs' upward direction, else y."),
    ] = None,
    by: Annotated[
        Literal["auto", "renderer", "mesh"],
        typer.Option("--by", help="The run's renderer or its mesh; auto: the renderer where colours were learnt."),
    ] = "auto",
    background: Annotated[
        Literal["white", "black"], typer.Option("--background", help="Colour behind what is shown.")
    ] = "white",
    resolution: Annotated[
        int | None, typer.Option("--resolution", metavar="N", min=2, help="Of the mesh; default: the recipe's.")
    ] = None,
    shape: o.Shape = None,
    device: o.Device = "auto",
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help=".gif, .mp4, or .png, numbered; default: a .gif in the run."
        ),
    ] = None,
) -> None:
    """Render pictures or a film of a run.

    The camera goes around the scene, or stands where the photographs were taken, or follows a path; a scene that moves
    runs through its times meanwhile.
    """
    from ..film.film import film
    from ..film.shots import Shot, orbit_of, photographed, read_path, timed
    from ..run import Run

    opened = Run(run, device=device)
    if cameras == "orbit":
        shots = [Shot(camera) for camera in orbit_of(opened, frames, elevation=elevation, up=up)]
    elif cameras in ("train", "test"):
        shots = photographed(opened, cameras)
    elif Path(cameras).is_file():
        shots = read_path(Path(cameras))
    else:
        raise UserError(f"--cameras {cameras}: expected orbit, train, test, or the file of a camera path")
    if times or (opened.timed and any(shot.time is None for shot in shots)):
        shots = timed(shots, o.times_of(times) or [0.0, 1.0])
    if size is not None:
        shots = [
            Shot(shot.camera.scaled(size / max(shot.camera.width, shot.camera.height)), shot.time) for shot in shots
        ]
    stem = Path(cameras).stem
    path = output or opened.folder.root / "renders" / f"{stem}_{what.replace(',', '_')}.gif"
    color = (1.0, 1.0, 1.0) if background == "white" else (0.0, 0.0, 0.0)
    names = [name.strip() for name in what.split(",")]
    written = film(
        opened, shots, path, what=names, by=by, background=color, fps=fps, resolution=resolution, shape=shape,
        say=_progress if sys.stderr.isatty() else lambda done, total: None,
    )  # fmt: skip
    for file in written:
        typer.echo(str(file))


def _progress(done: int, total: int) -> None:
    typer.echo(f"\r{done}/{total}" + ("\n" if done == total else ""), nl=False, err=True)
