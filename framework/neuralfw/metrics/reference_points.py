"""How far points that are known to lie on a surface are from a mesh of it: one-sided, exact to the triangles."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float64

from neuralfw.errors import UserError
from neuralfw.geometry import Mesh, PointCloud, point_to_mesh_distance

from .figure import figure

SHARE = 0.005


def evaluate_reference_points(mesh: Mesh, reference: PointCloud, *, within: float | None = None) -> dict[str, Any]:
    """Measure from the points of a cloud to a mesh; what the mesh has elsewhere does not count.

    Args:
        mesh: in the units of the cloud.
        reference: its points lie on the surface, such as triangulated features, or a scan with holes.
        within: the distance up to which a point counts as reached; default: 0.5 % of the diagonal of the cloud's box.

    Returns:
        What JSON can hold, as `evaluate_surface` gives it.

    Raises:
        UserError: there are no points, or the mesh has no faces.
    """
    if len(reference) == 0:
        raise UserError("reference_points: the reference holds no points.")
    points = reference.points
    limit = SHARE * float(np.linalg.norm(points.max(axis=0) - points.min(axis=0))) if within is None else within
    return {
        "protocol": "reference_points",
        "summary": "one-sided: from points known to lie on the surface to the triangles of the mesh",
        "points": len(points),
        "length": "units of the input",
        "metrics": _figures(point_to_mesh_distance(points, mesh), limit),
        "omitted": {},
    }


def _figures(distance: Float64[np.ndarray, "n"], limit: float) -> dict[str, Any]:
    share = float((distance <= limit).mean())
    return {
        "median": figure(np.median(distance), "length", "lower", "Median distance from a reference point to the mesh."),
        "p90": figure(np.percentile(distance, 90), "length", "lower", "Distance that 90 % of them do not exceed."),
        "mean": figure(distance.mean(), "length", "lower", "Mean distance from a reference point to the mesh."),
        "share_within": figure(share, "1", "higher", f"Share of the points at most {limit:.6g} from the mesh."),
    }
