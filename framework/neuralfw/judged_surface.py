"""Judges the surface of a run: one mesh against a reference, or one that moves against numbered meshes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .data.config import PointsConfig
from .errors import UserError
from .geometry import Mesh, PointCloud, read_point_cloud
from .geometry.mesh_sequence import find_meshes

if TYPE_CHECKING:
    from .run import Run


def evaluate_surface(run: Run, protocol: str, reference: Path | None, shape: str | None) -> dict[str, Any]:
    """Return the figures of a run's surface by a named protocol.

    Args:
        run: to judge.
        protocol: "sequence", "4deform", or one of a mesh against a reference.
        reference: the truth; None for what the run knows of.
        shape: which one, in a run of several.

    Raises:
        UserError: there is nothing to compare with, or the protocol is not of scenes that move, or only of these.
    """
    from .metrics.against_file import evaluate_against_file
    from .photographed import photographed

    truth = reference or run.reference
    if truth is None:
        raise UserError("nothing to compare with: give --reference FILE, or set evaluate.reference in the recipe")
    if protocol == "sequence":
        return _evaluate_sequence(run, truth)
    if protocol == "4deform":
        return _evaluate_deformation(run, truth, shape)
    if run.timed:
        raise UserError(f"protocol {protocol} is of one mesh, but this scene moves: protocol sequence judges it")
    return evaluate_against_file(run.mesh(shape=shape), truth, protocol, photographed(run), lambda: _scan(run))


def _evaluate_sequence(run: Run, truth: Path) -> dict[str, Any]:
    from .metrics.sequence import evaluate_sequence

    files = find_meshes(truth)
    if not run.timed or len(files) < 2:
        found = "does not move" if not run.timed else f"needs two, and {truth} holds {len(files)}"
        raise UserError(f"protocol sequence compares a scene that moves with numbered meshes; this one {found}")
    return {"protocol": "sequence"} | evaluate_sequence(run.mesh, files, _learnt_times(run))


def _evaluate_deformation(run: Run, truth: Path, shape: str | None) -> dict[str, Any]:
    """Judge the first true frame as it is carried or, in a run without velocity, the surface at each time."""
    from .carrying import carried
    from .metrics.deformation import evaluate_deformation

    moves = run.view.has("velocity")
    if not (moves or run.timed):
        raise UserError("protocol 4deform is of shapes on their way; this run has no velocity and does not move")

    def meshes_at(first: Mesh, times: Sequence[float]) -> list[Mesh]:
        return carried(run, first, times, shape) if moves else [run.mesh(t, shape=shape) for t in times]

    return {"protocol": "4deform"} | evaluate_deformation(meshes_at, find_meshes(truth))


def _scan(run: Run) -> PointCloud | None:
    """Return the raw points that a run learnt from, if it learnt from a cloud alone."""
    configs = [spec.config for spec in run.recipe.data.values() if isinstance(spec.config, PointsConfig)]
    if len(configs) != 1 or len(run.shapes) > 1:
        return None
    try:
        return read_point_cloud(configs[0].path)
    except UserError:
        return None


def _learnt_times(run: Run) -> set[float] | None:
    """Return the times of the photographs that it learnt from; None where these have none."""
    if run.photographs is None:
        return None
    data: Any = run.data(run.photographs)
    times = {data.views[index].time for index in data.members("train")}
    return None if None in times else times
