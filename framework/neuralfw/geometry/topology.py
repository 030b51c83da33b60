"""Connected parts and holes of a surface, by counting: Euler's characteristic V - E + F = 2 (parts - genus)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from neuralfw.geometry.mesh import Mesh


@dataclass(frozen=True)
class Topology:
    """What a surface is made of, whatever its shape.

    Attributes:
        components: connected parts.
        genus: handles of all parts together; None where the surface is not a closed manifold, which has no such number.
    """

    components: int
    genus: int | None


def topology(mesh: Mesh) -> Topology:
    """Return the number of parts and of handles of a mesh; vertices at exactly the same place are one."""
    faces = _welded(mesh)
    if len(faces) == 0:
        return Topology(0, None)
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    edges, shared = np.unique(edges, axis=0, return_counts=True)
    used, ends = np.unique(edges, return_inverse=True)
    ends = ends.reshape(edges.shape)
    links = coo_array((np.ones(len(edges), dtype=bool), (ends[:, 0], ends[:, 1])), shape=(len(used),) * 2)
    components = int(connected_components(links, directed=False)[0])
    twice = 2 * components - (len(used) - len(edges) + len(faces))
    closed = bool((shared == 2).all()) and twice % 2 == 0 and twice >= 0
    return Topology(components, twice // 2 if closed else None)


def _welded(mesh: Mesh) -> Int64[np.ndarray, "f 3"]:
    """Return the faces by distinct places, without those that have a place twice."""
    _, place = np.unique(mesh.vertices, axis=0, return_inverse=True)
    faces = place.reshape(-1)[mesh.faces]
    whole = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    kept: Int64[np.ndarray, "f 3"] = faces[whole]
    return kept
