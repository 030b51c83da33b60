"""The page of several runs side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UserError
from ..film.drawn import mesh_images
from ..film.shots import photographed
from ..geometry import Camera, read_mesh
from ..geometry.files import write_file
from .charts import Line, line_chart
from .comparison import differences, named, tables
from .html import render
from .pictures import as_bytes
from .records import Record
from .surfaces import exported, up_of
from .turntable import Turn, around, turn

if TYPE_CHECKING:
    from ..run import Run

PICTURES = 8
VIEWS = 3
WIDTH = 320
WHITE = (1.0, 1.0, 1.0)


def write_comparison(runs: Sequence[Run], path: Path) -> Path:
    """Write a page that shows runs side by side, and return its file.

    Pictures of all runs are taken from the cameras of the first: around its mesh, and of its photographs.

    Raises:
        UserError: fewer than two runs, or the file cannot be written.
    """
    records = [Record(run.folder.root) for run in runs]
    names = named(records)
    missing: list[str] = []
    contents: dict[str, Any] = {
        "names": names,
        "records": records,
        "differences": differences(records),
        "tables": tables(records),
        "charts": [*_overlaid(records, names)],
        "turns": [*_turns(runs, names, missing)],
        "views": [*_views(runs, names, missing)],
        "missing": missing,
    }
    write_file(path, render("compare.html", **contents).encode())
    return path


def _overlaid(records: Sequence[Record], names: Sequence[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield a chart for each curve that some run has, with a line for each run that has it."""
    for curve in dict.fromkeys(name for record in records for name in record.curves):
        if not curve.startswith("lr/"):
            having = [(name, r.curves[curve]) for name, r in zip(names, records, strict=True) if curve in r.curves]
            lines = [Line(name, c.steps, c.values) for name, c in having]
            yield curve, line_chart(lines), [line.name for line in lines]


def _turns(runs: Sequence[Run], names: Sequence[str], missing: list[str]) -> Iterator[tuple[str, list[Turn]]]:
    """Yield the meshes of each run from all around, as the cameras of the first that has one see them."""
    cameras: list[Camera] = []
    for run, name in zip(runs, names, strict=True):
        files = [*exported(run)]
        if not files:
            missing.append(f"{name}: no mesh has been exported")
            continue
        found = []
        for file in (files[0], files[len(files) // 2], files[-1]) if len(files) > 2 else files:
            mesh = read_mesh(file.path)
            cameras = cameras or around(mesh, up_of(run), PICTURES)
            found.append(turn(mesh, cameras, label=file.label))
        yield name, found


def _views(
    runs: Sequence[Run], names: Sequence[str], missing: list[str]
) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """Yield what each run shows from cameras of the photographs of the first run that has some."""
    first = next((run for run in runs if run.photographs is not None), None)
    if first is None:
        return
    chosen = "test" if first.held_out else "train"
    shots = photographed(first, chosen)
    for index in sorted({round(k * (len(shots) - 1) / (VIEWS - 1)) for k in range(VIEWS)}):
        shot = shots[index]
        camera = shot.camera.scaled(min(1.0, WIDTH / shot.camera.width))
        panels = []
        for run, name in zip(runs, names, strict=True):
            try:
                panels.append((name, as_bytes(_seen(run, camera, shot.time))))
            except UserError as error:
                missing.append(f"{name}, camera {index}: {error}")
        yield f"camera {index} of the photographs {'held out' if chosen == 'test' else 'learnt from'}", panels


def _seen(run: Run, camera: Camera, time: float | None) -> np.ndarray:
    """Return what a run's renderer, or else its mesh, shows."""
    at = time if run.timed else None
    if run.pictures is not None:
        return run.render(camera, at, background=WHITE)["rgb"]
    return mesh_images(run.mesh(at), camera, WHITE)["rgb"]
