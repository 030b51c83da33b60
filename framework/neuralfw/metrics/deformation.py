"""How near a shape on its way to another comes to true frames between: the figures of 4Deform (arXiv 2502.20208).

Lengths are those of a first frame of area 1. What the paper leaves open is fixed here: Chamfer is half the sum of both
mean distances of 200,000 samples, not squared; the frames judged are those between the ends. A constant area also
rewards a wrong way, so `area_deviation` means little without the other two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from neuralfw.errors import UserError
from neuralfw.geometry import Mesh, read_mesh
from neuralfw.geometry.mesh_sequence import stamps

from .figure import figure
from .surface import surface_distances

SAMPLES = 200_000


def evaluate_deformation(
    meshes_at: Callable[[Mesh, Sequence[float]], Sequence[Mesh]], truth: Sequence[Path]
) -> dict[str, Any]:
    """Compare shapes on the way with true frames, whose times run evenly from 0 to 1.

    Args:
        meshes_at: gives the shape at some times, in the world of the files, from the first true frame.
        truth: files of the frames, in the order of time; the first and the last are the ends.

    Returns:
        What JSON can hold: `frames`, the figures of each frame between the ends; `metrics`, their summaries; `omitted`.

    Raises:
        UserError: there is no frame between two ends, or a file is no mesh.
    """
    if len(truth) < 3:
        raise UserError(f"protocol 4deform needs frames between two ends: three meshes at least, not {len(truth)}")
    true, times = [read_mesh(path) for path in truth], stamps(len(truth))[1:-1]
    shapes = meshes_at(true[0], times)
    length = true[0].area ** -0.5
    frames = [
        {"time": t, "reference": path.name, **_frame(shape, mesh, length)}
        for t, path, shape, mesh in zip(times, truth[1:-1], shapes, true[1:-1], strict=True)
    ]
    deviation = float(np.std([length**2 * shape.area for shape in shapes]))
    found = {
        "chamfer": figure(_mean(frames, "chamfer"), "1", "lower", "Half the sum of mean distances, mean over frames."),
        "hausdorff": figure(_mean(frames, "hausdorff"), "1", "lower", "The largest distance, mean over frames."),
        "area_deviation": figure(deviation, "1", "lower", "Standard deviation of the surface area over the frames."),
    }
    omitted = {}
    if all("vertices_rmse" in frame for frame in frames):
        text = "Root mean square distance of vertices to where they truly are, mean of frames (P-RMSE)."
        found["vertices_rmse"] = figure(_mean(frames, "vertices_rmse"), "1", "lower", text)
    else:
        omitted["vertices_rmse"] = "the frames, or the shapes on the way, do not have one order of vertices"
    return {
        "summary": "shapes on the way against true frames between the ends, as 4Deform tabulates them",
        "seed": 0,
        "samples": {"prediction": SAMPLES, "reference": SAMPLES},
        "length": "square root of the first frame's area = 1",
        "scale": length,
        "frames": frames,
        "metrics": found,
        "omitted": omitted,
    }


def _frame(shape: Mesh, true: Mesh, length: float) -> dict[str, float]:
    distances = surface_distances(shape, true, samples=SAMPLES)
    both = (distances.accuracy, distances.completeness)
    percent = 100.0 / float(np.linalg.norm(np.ptp(true.vertices, axis=0)))
    chamfer = sum(side.mean for side in both) / 2
    found = {
        "chamfer": length * chamfer,
        "chamfer_percent": percent * chamfer,
        "hausdorff": length * max(side.max for side in both),
    }
    if shape.faces.shape == true.faces.shape and (shape.faces == true.faces).all():
        found["vertices_rmse"] = length * rmse(shape.vertices, true.vertices)
    return found


def rmse(a: Float64[np.ndarray, "n 3"], b: Float64[np.ndarray, "n 3"]) -> float:
    """Return the root mean square distance of points that correspond row by row."""
    return float(np.sqrt(np.square(a - b).sum(axis=1).mean()))


def _mean(frames: Sequence[dict[str, Any]], key: str) -> float:
    return float(np.mean([frame[key] for frame in frames]))
