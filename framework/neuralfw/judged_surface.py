"""Judges the surface of a run: one mesh against a reference, or one that moves against numbered meshes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UserError
from .geometry.mesh_sequence import find_meshes

if TYPE_CHECKING:
    from .run import Run


def evaluate_surface(run: Run, protocol: str, reference: Path | None, shape: str | None) -> dict[str, Any]:
    """Return the figures of a run's surface by a named protocol.

    Args:
        run: to judge.
        protocol: "sequence", or one of a mesh against a reference.
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
    if run.timed:
        raise UserError(f"protocol {protocol} is of one mesh, but this scene moves: protocol sequence judges it")
    return evaluate_against_file(run.mesh(shape=shape), truth, protocol, photographed(run))


def _evaluate_sequence(run: Run, truth: Path) -> dict[str, Any]:
    from .metrics.sequence import evaluate_sequence

    files = find_meshes(truth)
    if not run.timed or len(files) < 2:
        found = "does not move" if not run.timed else f"needs two, and {truth} holds {len(files)}"
        raise UserError(f"protocol sequence compares a scene that moves with numbered meshes; this one {found}")
    return {"protocol": "sequence"} | evaluate_sequence(run.mesh, files, _learnt_times(run))


def _learnt_times(run: Run) -> set[float] | None:
    """Return the times of the photographs that it learnt from; None where these have none."""
    if run.photographs is None:
        return None
    data: Any = run.data(run.photographs)
    times = {data.views[index].time for index in data.members("train")}
    return None if None in times else times
