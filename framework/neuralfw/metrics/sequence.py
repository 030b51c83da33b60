"""A surface that moves against the true one at each time: distances, parts, handles, volume, place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from neuralfw.geometry import Mesh, read_mesh
from neuralfw.geometry.mesh_sequence import stamps
from neuralfw.geometry.topology import topology
from neuralfw.meshing import EmptySurfaceError

from .definitions import extent
from .figure import figure
from .surface import surface_distances

SAMPLES = 200_000
F_SCORE_AT = 0.01

Better = Literal["lower", "higher"]
_SUMMARIES: tuple[tuple[str, str, Better, str, Callable[[Sequence[float]], float], str], ...] = (
    ("chamfer_percent", "chamfer_percent", "lower", "%", np.mean,
     "Chamfer (half the sum of both mean distances) over the diagonal of the truth's box at that time, mean"),
    ("chamfer_percent_worst", "chamfer_percent", "lower", "%", np.max, "The same, the largest"),
    ("f_score_0.01", "f_score", "higher", "1", np.mean,
     "Harmonic mean of the shares of either side's samples within 1 % of that diagonal of the other's nearest, mean"),
    ("normal_consistency", "normal_consistency", "higher", "1", np.mean,
     "Half the sum of both means of |cosine| between the normals of a sample and of its nearest, mean"),
    ("volume_error_percent_worst", "volume_error_percent", "lower", "%", np.max,
     "|volume / true volume - 1|, the largest"),
    ("centroid_offset_percent_worst", "centroid_offset_percent", "lower", "%", np.max,
     "Distance of the surfaces' centroids over the same diagonal, the largest"),
    ("components_right", "components_right", "higher", "1", np.mean,
     "Share of the times at which the surface has as many connected parts as the truth"),
    ("genus_right", "genus_right", "higher", "1", np.mean,
     "Share of the times at which its parts have as many handles as the truth's; of those whose truth is closed"),
)  # fmt: skip
"""Name, figure of a frame, which way is better, unit, how the frames are summed up, definition."""


def evaluate_sequence(
    mesh_at: Callable[[float], Mesh], truth: Sequence[Path], learnt: Collection[float] | None = None
) -> dict[str, Any]:
    """Compare a surface that moves with the true meshes, whose times run evenly from 0 to 1.

    Args:
        mesh_at: gives the surface at a time, in the world of the files; raises EmptySurfaceError where there is none.
        truth: files of the true meshes, in the order of time.
        learnt: times of which the run saw images; None where that is not known.

    Returns:
        What JSON can hold: `frames`, the figures at each time; `metrics`, their summaries; `omitted`. Where the surface
        is empty at a time, a frame has a `note` instead of distances, and their summaries are omitted.

    Raises:
        UserError: a file is no mesh.
    """
    frames = []
    for time, path in zip(stamps(len(truth)), truth, strict=True):
        told: dict[str, Any] = {"time": time, "reference": path.name}
        if learnt is not None:
            told["learnt"] = time in learnt
        frames.append(told | _frame(mesh_at, time, read_mesh(path)))
    found, omitted = _summaries(frames)
    return {
        "summary": "the surface at each time against the true one",
        "seed": 0,
        "samples": {"prediction": SAMPLES, "reference": SAMPLES},
        "length": "units of the input",
        "frames": frames,
        "metrics": found,
        "omitted": omitted,
    }


def _frame(mesh_at: Callable[[float], Mesh], time: float, true: Mesh) -> dict[str, Any]:
    """Return the figures of one time."""
    expected = topology(true)
    counts: dict[str, Any] = {"true_components": expected.components, "true_genus": expected.genus}
    try:
        mesh = mesh_at(time)
    except EmptySurfaceError as error:
        return {"components": 0, "genus": None, **counts, "components_right": False, "note": str(error)}
    percent, found = 100.0 / float(np.linalg.norm(extent(true))), topology(mesh)
    distances = surface_distances(mesh, true, samples=SAMPLES)
    both = (distances.accuracy, distances.completeness)
    cosines = [float(np.abs(side.cosine).mean()) for side in both if side.cosine is not None]
    figures: dict[str, Any] = {
        "chamfer_percent": percent * sum(side.mean for side in both) / 2,
        "f_score": distances.f_score(F_SCORE_AT * 100.0 / percent),
        "normal_consistency": sum(cosines) / 2,
        "components": found.components,
        "genus": found.genus,
        **counts,
        "components_right": found.components == expected.components,
        "centroid_offset_percent": percent * float(np.linalg.norm(mesh.centroid - true.centroid)),
    }
    if expected.genus is not None:
        ratio = mesh.volume / abs(true.volume)
        figures |= {"genus_right": found.genus == expected.genus}
        figures |= {"volume_ratio": ratio, "volume_error_percent": 100.0 * abs(ratio - 1.0)}
    return figures


def _summaries(frames: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, str]]:
    found: dict[str, Any] = {}
    omitted: dict[str, str] = {}
    empty = [frame for frame in frames if "note" in frame]
    for name, of, better, unit, reduce, definition in _SUMMARIES:
        values = [float(frame[of]) for frame in frames if of in frame]
        if empty and of != "components_right":
            omitted[name] = f"there is no surface at time {empty[0]['time']:g}: {empty[0]['note']}"
        elif not values:
            omitted[name] = "no true mesh is closed"
        else:
            found[name] = figure(reduce(values), unit, better, f"{definition}.")
    if not empty and len({frame.get("learnt") for frame in frames}) == 2:
        for which, learnt in (("learnt", True), ("unseen", False)):
            value = max(frame["chamfer_percent"] for frame in frames if frame["learnt"] == learnt)
            text = f"The largest Chamfer over the diagonal, of the times that are {which}."
            found[f"chamfer_percent_worst_{which}"] = figure(value, "%", "lower", text)
    return found, omitted
