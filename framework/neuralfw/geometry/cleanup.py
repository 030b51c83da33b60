"""Clean-up of a mesh that is to be used elsewhere, on record: parts, holes, number of faces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from scipy.spatial import cKDTree

from neuralfw.geometry.cleaning import largest_parts, parts
from neuralfw.geometry.mesh import Mesh
from neuralfw.optional import optional

_Index = Int64[np.ndarray, " n"]


@dataclass(frozen=True)
class Cleanup:
    """Steps that are done one after the other, where they are asked for.

    Attributes:
        keep: so many of the largest connected parts stay.
        fill: holes with at most so many edges are closed.
        faces: the mesh is simplified to about so many faces.
    """

    keep: int | None = None
    fill: int | None = None
    faces: int | None = None

    def __call__(self, mesh: Mesh) -> tuple[Mesh, dict[str, Any]]:
        """Return the mesh after all steps, and a record: what each did, with counts before and after.

        Raises:
            UserError: simplification needs a package that is not installed.
        """
        steps: list[tuple[str, Callable[[Mesh], Mesh]]] = []
        if (keep := self.keep) is not None:
            steps.append((f"the largest {keep} connected parts", lambda m: largest_parts(m, keep)))
        if (most := self.fill) is not None:
            steps.append((f"holes of at most {most} edges closed", lambda m: fill_holes(m, most)))
        if (faces := self.faces) is not None:
            steps.append((f"simplified to about {faces} faces", lambda m: simplify(m, faces)))
        record = [{"step": "as extracted", **_counts(mesh)}]
        for name, step in steps:
            mesh = step(mesh)
            record.append({"step": name, **_counts(mesh)})
        return mesh, {"steps": record}


def boundary_loops(mesh: Mesh) -> list[_Index]:
    """Return the holes of a mesh as loops of vertices, each in the direction that faces which close it would have.

    Where boundaries touch in a vertex, that vertex has no one way on, and their loops are left out.
    """
    edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    count = len(mesh.vertices)
    open_edges = edges[~np.isin(edges[:, 0] * count + edges[:, 1], edges[:, 1] * count + edges[:, 0])]
    ends, degree = np.unique(open_edges[:, 1], return_counts=True)
    crossing = {*ends[degree > 1].tolist()}
    after = {int(b): int(a) for a, b in open_edges}
    loops = []
    while after:
        first, current = next(iter(after.items()))
        loop = [first]
        del after[first]
        while current != first and current in after:
            loop.append(current)
            current = after.pop(current)
        if current == first and not crossing.intersection(loop):
            loops.append(np.array(loop, np.int64))
    return loops


def fill_holes(mesh: Mesh, most_edges: int) -> Mesh:
    """Close the holes with at most so many edges, each by a fan around the mean of its vertices."""
    vertices, faces = [mesh.vertices], [mesh.faces]
    colors = [] if mesh.colors is None else [mesh.colors]
    count = len(mesh.vertices)
    for loop in boundary_loops(mesh):
        if len(loop) > most_edges:
            continue
        vertices.append(mesh.vertices[loop].mean(axis=0, keepdims=True))
        if mesh.colors is not None:
            colors.append(mesh.colors[loop].mean(axis=0, keepdims=True))
        faces.append(np.stack([loop, np.roll(loop, -1), np.full(len(loop), count)], axis=1))
        count += 1
    painted = np.concatenate(colors) if colors else None
    return replace(mesh, vertices=np.concatenate(vertices), faces=np.concatenate(faces), colors=painted)


def simplify(mesh: Mesh, faces: int) -> Mesh:
    """Return a mesh of about so many faces, by collapsing edges of the least quadric error (Garland and Heckbert 1997).

    A mesh with fewer is returned as it is. Vertices take the colour of the nearest vertex there was.

    Raises:
        UserError: the package that does it is not installed.
    """
    if len(mesh.faces) <= faces:
        return mesh
    package = optional("fast_simplification", "simplify", "simplifying")
    center = mesh.vertices.mean(axis=0)
    scale = max(float(np.ptp(mesh.vertices, axis=0).max()), 1e-300)
    local = ((mesh.vertices - center) / scale).astype(np.float32)
    points, triangles = package.simplify(local, mesh.faces.astype(np.int32), target_count=faces)
    vertices: Float64[np.ndarray, "v 3"] = points.astype(np.float64) * scale + center
    colors = None if mesh.colors is None else mesh.colors[cKDTree(mesh.vertices).query(vertices)[1]]
    return replace(mesh, vertices=vertices, faces=triangles.astype(np.int64), colors=colors)


def _counts(mesh: Mesh) -> dict[str, int]:
    of_face = parts(mesh) if len(mesh.faces) else np.zeros(0, np.int64)
    return {
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "parts": int(of_face.max(initial=-1)) + 1,
        "holes": len(boundary_loops(mesh)),
    }
