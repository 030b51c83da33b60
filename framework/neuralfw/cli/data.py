"""The verbs about data: inspect and convert."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from ..columns import wrapped
from ..errors import UserError
from . import options as o
from .app import app
from .tables import write, write_json

data = typer.Typer(help="Look into data before training on it.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data, name="data")

Format = Annotated[
    str | None, typer.Option("--format", metavar="NAME", help="Its format, such as colmap; default: found out.")
]
Images = Annotated[str | None, typer.Option("--images", metavar="NAME", help="Folder of the images inside of it.")]
Cameras = Annotated[
    str | None, typer.Option("--cameras", metavar="FILE", help="File of the cameras, where there are several.")
]


@data.callback()
def _group() -> None:
    pass


@data.command()
def inspect(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Folder of photographs with poses.")],
    format: Format = None,
    images: Images = None,
    cameras: Cameras = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="PNG to draw all that into.")
    ] = None,
    as_json: o.AsJson = False,
) -> None:
    """Say what a folder of photographs holds: format, sizes, cameras, masks, points, sets, memory and faults.

    With -o it is drawn: cameras, sparse points and bounds from above and aside, photographs with masks and points.
    Every photograph is decoded once. Exit status 2 where there are faults.
    """
    from ..photos.inspect import inspect as examine

    facts = examine(path, _known(format), images, cameras, picture=output)
    write_json(facts) if as_json else write(wrapped([*_rows(facts)]))
    if facts["faults"]:
        raise typer.Exit(2)


@data.command()
def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SRC",
            help="Folder of photographs with poses, or with --sfm without; a mesh or folder of numbered meshes; or a "
            "model of another program that a plugin reads, such as IDR's.",
        ),
    ],
    target: Annotated[Path, typer.Argument(metavar="DST", help="Folder to write, absent or empty.")],
    sfm: Annotated[
        bool, typer.Option("--sfm", help="Find cameras and points of plain photographs, by COLMAP.")
    ] = False,
    masks: Annotated[
        str | None,
        typer.Option(
            "--masks",
            metavar="DIR|alpha|threshold=N|background=COLOR",
            help="Where masks come from; default: what SRC has, with --sfm none.",
        ),
    ] = None,
    box: Annotated[
        str | None,
        typer.Option("--box", metavar="X,Y,Z,X,Y,Z", help="Corners, in SRC's world, beyond which nothing is wanted."),
    ] = None,
    camera_noise: Annotated[
        str | None,
        typer.Option(
            "--camera-noise", metavar="degrees=D,distance=S,seed=N", help="Write disturbed cameras beside the true."
        ),
    ] = None,
    photographs: Annotated[
        Path | None, typer.Option("--photographs", metavar="SCAN", help="What such a model was trained on.")
    ] = None,
    views: Annotated[int, typer.Option("--views", min=4, help="Cameras around a mesh.")] = 60,
    size: Annotated[int, typer.Option("--size", min=16, help="Pixels along an edge of the images of a mesh.")] = 256,
    unlit: Annotated[bool, typer.Option("--unlit", help="Colours of a mesh as they are, without a light.")] = False,
    format: Format = None,
    images: Images = None,
    cameras: Cameras = None,
) -> None:
    """Write photographs in the layout of IDR, normalised to the unit sphere by their masks.

    DST gets image/, mask/ and cameras.npz; with noise also cameras_linear_init.npz. A mesh is photographed instead,
    in the layout of the NeRF-synthetic scenes, in the colours of its vertices under a head light, its coverage as alpha
    channel; a folder of numbered meshes at a time for each. A model of another program that a plugin reads, such as
    IDR's, becomes a run, which eval, export and transfer take like any other.

    With --sfm plain photographs get cameras and points: features, matching, mapping and undistortion by COLMAP on the
    CPU. DST then gets images/, sparse/0/, masks/ where they are asked for, and scene.png, a picture of all that.
    """
    if sfm:
        others = (box, camera_noise, photographs, format, images, cameras)
        if any(option is not None for option in others):
            raise UserError("--sfm goes with --masks and no other option: its photographs have no cameras yet.")
        write(_reconstructed(source, target, masks))
        return
    from ..hooks import hook_manager
    from ..registry import discover

    hooks = hook_manager(discover()).hook
    notes = hooks.neuralfw_convert(source=source, target=target, photographs=photographs)
    if notes is None and photographs is not None:
        raise UserError(f"--photographs: {source} is no model that a plugin reads and that was trained on them.")
    if notes is None:
        from ..geometry.mesh_sequence import find_meshes
        from ..photos.rendered import photograph

        if files := find_meshes(source):
            notes = photograph(files, target, views=views, size=size, lit=not unlit)
    if notes is None:
        from ..photos.convert import Noise
        from ..photos.convert import convert as write_photographs
        from ..photos.masks import mask_source, parse_box
        from ..photos.sniff import read_capture

        noise = None if camera_noise is None else Noise.parse(camera_noise)
        corners = None if box is None else parse_box(box)
        capture = read_capture(source, _known(format), images=images, cameras=cameras, points=False)
        notes = write_photographs(capture, target, mask_source(capture, masks, corners), noise=noise, box=corners)
    write([*notes, str(target)])


def _reconstructed(source: Path, target: Path, masks: str | None) -> list[str]:
    """Find the cameras of photographs, draw what was found, and return what there is to say."""
    from ..photos.inspect import inspect as examine
    from ..photos.sfm import structure_from_motion
    from .progress import steps

    with steps() as progress:
        notes = structure_from_motion(source, target, masks, progress)
    facts = examine(target, picture=target / "scene.png")
    return [*notes, *(f"FAULT: {fault}" for fault in facts["faults"]), str(target)]


def _known(format: str | None) -> str | None:
    """Return the name of a format.

    Raises:
        UserError: there is none of that name.
    """
    from ..geometry.files import did_you_mean
    from ..photos.sniff import FORMATS

    if format is not None and format not in FORMATS:
        raise UserError(f"--format {format} is not known.{did_you_mean(format, FORMATS)} Known: {', '.join(FORMATS)}.")
    return format


def _rows(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the facts as rows of a name and a text."""
    cameras, points, memory = facts["cameras"], facts["points"], facts["memory_bytes"] / 1e6
    yield "format", facts["format"]
    yield "photographs", f"{facts['images']}: {_counted(facts['sizes'])}"
    yield "sets", _counted(facts["sets"], "{count} {name}")
    yield "lenses", _counted(facts["lenses"])
    yield "focal length", f"{_span(cameras['focal_pixels'])} pixels, {_span(cameras['angle_degrees'])} degrees wide"
    yield "cameras stand", f"{_box(cameras)}, {_span(cameras['distance'])} from what they look at"
    yield "they look at", _place(cameras["look_at"])
    yield "bounds", f"{_box(facts['bounds'])}, {facts['bounds']['by']}"
    masks = f"{facts['masks']} of {facts['images']}" if facts["masks"] else "none"
    yield "masks", masks + (", alpha channels" if facts["alpha_channels"] else "")
    for key, text in (("depth_images", "depth images"), ("time_stamps", "time stamps")):
        if facts[key]:
            yield text, str(facts[key])
    if points and "count" in points:
        more = f"; {points['mean_track']:.2f} images and {points['mean_error_pixels']:.3f} pixels of error a point"
        yield "points", f"{points['count']:,}, {_box(points)}{more if 'mean_track' in points else ''}"
    if points and "file" in points:
        yield "cloud", points["file"]
    if facts["normalisation"]:
        size = 1.0 / facts["normalisation"]["scale"]
        yield "normalised to", f"a sphere of radius {size:.6g} about {_place(facts['normalisation']['center'])}"
    yield "memory", f"{memory:,.0f} MB, as floats {4 * memory:,.0f} MB"
    if "picture" in facts:
        yield "drawn in", facts["picture"]
    yield from (("note", note) for note in facts["notes"])
    yield from (("FAULT", fault) for fault in facts["faults"])


def _counted(counts: dict[str, int], form: str = "{count} of {name}") -> str:
    if len(counts) == 1 and "of" in form:
        return next(iter(counts))
    return ", ".join(form.format(count=count, name=name) for name, count in counts.items())


def _span(ends: list[float]) -> str:
    low, high = (f"{end:.4g}" for end in ends)
    return low if low == high else f"{low} to {high}"


def _place(point: list[float]) -> str:
    return "(" + ", ".join(f"{x:.4g}" for x in point) + ")"


def _box(box: dict[str, list[float]]) -> str:
    return f"{_place(box['lower'])} to {_place(box['upper'])}"
