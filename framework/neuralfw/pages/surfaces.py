"""The meshes of a run on its page: turned around, and coloured by their error where the truth is known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from ..errors import UserError
from ..film.shots import orbit_of, upward
from ..geometry import Mesh, read_mesh
from ..geometry.mesh_readers import MESH_READERS
from .pictures import as_bytes, ramp
from .surface_error import surface_error, truth_at
from .turntable import SIZE, Turn, around, turn

if TYPE_CHECKING:
    from ..run import Run

MOST_MESHES = 6
"""Of a scene that moves, or a run of many shapes, so many meshes are shown."""

PICTURES = 12
"""Of one mesh alone; of several each has half as many."""


@dataclass
class Shown:
    """Meshes from all around, what their errors say in words, and why something is absent."""

    turns: list[Turn] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Exported:
    """A mesh file of a run: its label, and its time where the scene moves."""

    path: Path
    label: str
    time: float | None


def turns(run: Run, reference: Path | None = None) -> Shown:
    """Draw the meshes that a run exported; of one that exports none, what its renderer shows.

    Raises:
        UserError: the reference given cannot be used.
    """
    shown = Shown()
    files = [*exported(run)]
    if not files:
        if run.recipe.export is not None or run.pictures is None:
            shown.missing.append("meshes: none has been exported; `neuralfw export RUN` does it")
        else:
            shown.turns.append(_rendered(run))
        return shown
    files = _some(files)
    up = up_of(run)
    truth = reference or (run.reference if run.recipe.evaluate.protocol != "tanks_and_temples" else None)
    for file in files:
        mesh = read_mesh(file.path)
        painted = {}
        if truth is not None:
            try:
                painted = _painted(mesh, file, truth, shown)
            except UserError:
                if reference is not None:
                    raise
        count = PICTURES if len(files) == 1 else PICTURES // 2
        shown.turns.append(turn(mesh, around(mesh, up, count), label=file.label, painted=painted))
    return shown


def exported(run: Run) -> Iterator[Exported]:
    """Yield the meshes in a run's meshes/ that can be read, in the order of their names."""
    for path in sorted(run.folder.meshes.glob("mesh*")):
        if path.suffix.lower() not in MESH_READERS:
            continue
        moment = re.fullmatch(r"mesh_t(\d+\.\d+)", path.stem) if run.timed else None
        time = float(moment[1]) if moment else None
        label = f"t = {moment[1]}" if moment else path.stem.removeprefix("mesh").removeprefix("_")
        yield Exported(path, label, time)


def _painted(mesh: Mesh, file: Exported, truth: Path, shown: Shown) -> dict[str, Float64[np.ndarray, "v 3"]]:
    if (at := truth_at(truth, file.time)) is None:
        return {}
    error = surface_error(mesh, at)
    shown.errors.append(f"{file.label}: {error.told}" if file.label else error.told)
    return {"error": ramp(error.distance / error.scale)}


def up_of(run: Run) -> Float64[np.ndarray, "3"]:
    """Return the upward direction of a run's pictures; y where its photographs are no longer there to tell."""
    try:
        return upward(run)
    except UserError:
        return np.array([0.0, 1.0, 0.0])


def _rendered(run: Run) -> Turn:
    cameras = orbit_of(run, PICTURES)
    scale = SIZE / max(cameras[0].width, cameras[0].height)
    white = (1.0, 1.0, 1.0)
    pictures = [as_bytes(run.render(camera.scaled(scale), background=white)["rgb"]) for camera in cameras]
    return Turn("", {"rendered": pictures})


def _some(files: list[Exported]) -> list[Exported]:
    if len(files) <= MOST_MESHES:
        return files
    return [files[round(k * (len(files) - 1) / (MOST_MESHES - 1))] for k in range(MOST_MESHES)]
