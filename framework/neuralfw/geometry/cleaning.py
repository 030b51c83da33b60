"""Parts of a mesh: those in a box, the largest, those that some test keeps."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from neuralfw.errors import UserError
from neuralfw.geometry.mesh import Mesh


def select_faces(mesh: Mesh, keep: Bool[np.ndarray, "f"]) -> Mesh:
    """The mesh of some of its faces, without the vertices that none of them uses; order is kept."""
    faces = mesh.faces[keep]
    used = np.zeros(len(mesh.vertices), dtype=bool)
    used[faces] = True
    colors = None if mesh.colors is None else mesh.colors[used]
    renumbered = np.cumsum(used) - 1
    return replace(mesh, vertices=mesh.vertices[used], faces=renumbered[faces], colors=colors)


def crop(mesh: Mesh, lower: Float[np.ndarray, "3"], upper: Float[np.ndarray, "3"]) -> Mesh:
    """The faces whose three corners lie in a box.

    Raises:
        UserError: none does.
    """
    inside = (mesh.triangles >= lower) & (mesh.triangles <= upper)
    kept = select_faces(mesh, np.asarray(inside.all(axis=(1, 2))))
    if len(kept.faces) == 0:
        found = " to ".join(str(corner.round(4).tolist()) for corner in (mesh.vertices.min(0), mesh.vertices.max(0)))
        raise UserError(f"nothing of the mesh lies in the box {lower.tolist()} to {upper.tolist()}; it spans {found}.")
    return kept


def parts(mesh: Mesh) -> Int64[np.ndarray, "f"]:
    """For each face the connected part that it belongs to; part 0 has the largest area, then by area."""
    ends = mesh.faces[:, :2].ravel(), mesh.faces[:, 1:].ravel()
    links = coo_array((np.ones(len(ends[0]), dtype=bool), ends), shape=(len(mesh.vertices),) * 2)
    found, of_vertex = connected_components(links, directed=False)
    of_face = of_vertex[mesh.faces[:, 0]]
    areas = np.bincount(of_face, mesh.face_areas, minlength=found)
    rank = np.empty(found, dtype=np.int64)
    rank[np.lexsort((-areas, np.bincount(of_face, minlength=found) == 0))] = np.arange(found)
    ranked: Int64[np.ndarray, "f"] = rank[of_face]
    return ranked


def largest_parts(mesh: Mesh, count: int) -> Mesh:
    """The `count` connected parts of the largest area."""
    return select_faces(mesh, parts(mesh) < count)
