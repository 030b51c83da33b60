"""The verbs that use a run: eval and export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..columns import columns, wrapped
from ..errors import UserError
from . import options as o
from .app import app
from .tables import write, write_json


@app.command("eval")
def evaluate(
    run: o.RunDirectory,
    reference: o.Reference = None,
    protocol: Annotated[
        str | None,
        typer.Option("--protocol", metavar="NAME", help="Named protocol of the figures; default: all that apply."),
    ] = None,
    shape: o.Shape = None,
    as_json: o.AsJson = False,
) -> None:
    """Compare a run with what is known to be true.

    Its mesh with a reference, its renderings with photographs, its cameras with the true ones. Protocol views takes the
    photographs held out, training_views those learnt from, cameras the learnt cameras, sequence the meshes of a scene
    that moves, 4deform shapes between two ends; every other one compares the mesh with a reference. The figures, each
    with unit and definition, also go to the run's eval/.
    """
    from ..run import Run

    opened = Run(run)
    chosen = [protocol] if protocol else [opened.surface_protocol(reference)] if reference else opened.protocols
    results = [opened.eval(name, reference=reference, shape=shape) for name in chosen]
    if as_json:
        write_json(results[0] if len(results) == 1 else {"protocols": results})
        return
    for number, result in enumerate(results):
        write([*([""] if number else []), *figures(result)])


def figures(result: dict[str, Any]) -> list[str]:
    """Return the figures of an evaluation as lines, each with its unit and definition."""
    lines = [f"protocol {result['protocol']}: {result['summary']}", _basis(result), ""]
    if by_time := _by_time(result):
        lines += [*by_time, ""]
    metrics = result["metrics"].items()
    lines += wrapped([(n, f"{m['value']:.6g}", m["unit"], m["better"], m["definition"]) for n, m in metrics])
    return lines + wrapped([(name, f"omitted: {reason}") for name, reason in result["omitted"].items()])


_FRAME = {
    "chamfer_percent": "Chamfer %",
    "f_score": "F-score 1 %",
    "normal_consistency": "normals",
    "components": "parts",
    "true_components": "true",
    "genus": "genus",
    "true_genus": "true",
    "volume_ratio": "volume",
    "centroid_offset_percent": "offset %",
}
"""Figures of a frame that are shown, and the heads of their columns."""


def _by_time(result: dict[str, Any]) -> list[str]:
    """Return a table of what an evaluation says of each time; [] where it says nothing of that."""
    if "frames" in result:
        rows = [
            [f"{f['time']:.3f}", *(_cell(f.get(key)) for key in _FRAME), _learnt(f), f.get("note", "")[:40]]
            for f in result["frames"]
        ]
        return columns([["time", *_FRAME.values(), "", ""], *rows])
    times = sorted({view["time"] for view in result.get("each", ()) if "time" in view})
    if len(times) < 2:
        return []
    keys = [key for key in ("psnr", "psnr_mask", "ssim", "lpips") if any(key in view for view in result["each"])]
    rows = []
    for t in times:
        seen = [view for view in result["each"] if view.get("time") == t]
        means = (_mean([view[key] for view in seen if key in view]) for key in keys)
        rows.append([f"{t:.3f}", *map(_cell, means), str(len(seen))])
    return columns([["time", *keys, "views"], *rows])


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _cell(value: float | int | None) -> str:
    return "-" if value is None else str(value) if isinstance(value, int) else f"{value:.4g}"


def _learnt(frame: dict[str, Any]) -> str:
    return "unseen" if frame.get("learnt") is False else ""


def _basis(result: dict[str, Any]) -> str:
    """Return what the figures rest on."""
    if "sizes" in result:
        shade = ", ".join(f"{value:g}" for value in result["background"])
        return f"{result['views']} views of {', '.join(result['sizes'])} pixels, on a background of ({shade})"
    if "views" in result:
        return f"{result['views']} views"
    if "points" in result:
        return f"{result['points']:,} points, {result['length']}"
    samples = result["samples"]
    return f"{samples['prediction']:,} and {samples['reference']:,} samples, seed {result['seed']}, {result['length']}"


@app.command()
def export(
    run: o.RunDirectory,
    what: Annotated[
        str | None,
        typer.Option(
            "--what",
            metavar="NAME",
            help="mesh, or what a field writes of itself, such as gaussians; default: the mesh, where there is one.",
        ),
    ] = None,
    resolution: Annotated[
        int | None,
        typer.Option("--resolution", metavar="N", min=2, help="Cells along the longest edge; default: the recipe's."),
    ] = None,
    times: Annotated[
        str, typer.Option("--times", metavar="T,T,…", help="Times in [0, 1], where the scene moves, such as 0,0.5,1.")
    ] = "",
    shape: Annotated[
        str | None,
        typer.Option("--shape", metavar="NAME|A:B:N", help="One shape of several, or N meshes on the way from A to B."),
    ] = None,
    world: Annotated[
        str | None,
        typer.Option("--world", metavar="NAME", help="Write the mesh in another world of the data, such as target."),
    ] = None,
    keep: Annotated[
        int | None, typer.Option("--keep", metavar="N", min=1, help="Keep so many of the largest connected parts.")
    ] = None,
    fill: Annotated[
        int | None, typer.Option("--fill", metavar="N", min=3, help="Close holes with at most so many edges.")
    ] = None,
    faces: Annotated[
        int | None, typer.Option("--faces", metavar="N", min=4, help="Simplify to about so many faces.")
    ] = None,
    uv: Annotated[
        bool, typer.Option("--uv", help="Give the mesh a texture: .obj with .mtl and .png, by the package xatlas.")
    ] = False,
    texture: Annotated[
        int, typer.Option("--texture", metavar="N", min=16, max=16384, help="Edge of that texture, texels.")
    ] = 1024,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="File, or a folder for several; default: in the run."),
    ] = None,
) -> None:
    """Write a run's mesh or Gaussians, in the units of its data.

    A mesh as .ply, .obj, .glb or .stl; Gaussians as .ply or .splat. What --keep, --fill and --faces, in this order, did
    to a mesh stands in a .json beside it. A texture has the colours of the run's field of colour or, where it has none,
    of its photographs.
    """
    from ..geometry.cleanup import Cleanup
    from ..run import Run

    opened = Run(run)
    if what is None:
        what = next(iter(opened.writable), "mesh") if opened.recipe.export is None else "mesh"
    if what != "mesh" and uv:
        raise UserError(f"--uv: a mesh has a texture, not {what}")
    if uv and world is not None:
        raise UserError(
            "--uv: a mesh with a texture is written in the world that its colours come from; leave --world out"
        )
    if what != "mesh":
        for path in opened.export_field(what, output, times=o.times_of(times), say=typer.echo):
            typer.echo(str(path))
        return
    cleanup = Cleanup(keep, fill, faces) if any(n is not None for n in (keep, fill, faces)) else None
    given: dict[str, Any] = {"resolution": resolution, "times": o.times_of(times), "shape": shape, "output": output}
    if uv:
        from ..texturing.files import export_textured

        files = export_textured(opened, texture, cleanup=cleanup, say=lambda text: typer.echo(text, err=True), **given)
    else:
        files = opened.export(cleanup=cleanup, world=world, **given)
    for path in files:
        typer.echo(str(path))


@app.command()
def transfer(
    geometry: Annotated[Path, typer.Option("--geometry", metavar="RUN", help="The run whose shape is shown.")],
    appearance: Annotated[Path, typer.Option("--appearance", metavar="RUN", help="The run whose colours it gets.")],
    frames: Annotated[int, typer.Option("--frames", metavar="N", min=1, help="Pictures along a closed path.")] = 30,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Folder; default: transfer/ in the run of the shape."),
    ] = None,
) -> None:
    """Show one run's shape in another's colours.

    Pictures go along a path between the cameras of the shape's photographs, on white; and a mesh has the colours that
    they show. Both runs need an SDF with as many feature channels and a field of colour beside it.
    """
    from ..appearance import transfer as write
    from ..run import Run

    shape, look = Run(geometry), Run(appearance)
    folder = output or shape.folder.root / "transfer" / look.folder.root.resolve().name
    write(shape, look, folder, frames)
    typer.echo(str(folder))
