"""Parts and handles of meshes whose numbers are known."""

import numpy as np
import pytest
import trimesh

from neuralfw.geometry import Mesh
from neuralfw.geometry.cleaning import select_faces
from neuralfw.geometry.topology import Topology, topology

BALL = trimesh.creation.icosphere(2)
RING = trimesh.creation.torus(1.0, 0.3)


def joined(*parts: trimesh.Trimesh) -> Mesh:
    whole = trimesh.util.concatenate([part.copy().apply_translation([3.0 * k, 0, 0]) for k, part in enumerate(parts)])
    return Mesh(np.asarray(whole.vertices, np.float64), np.asarray(whole.faces, np.int64))


@pytest.mark.parametrize(
    ("mesh", "expected"),
    [
        (joined(BALL), Topology(1, 0)),
        (joined(RING), Topology(1, 1)),
        (joined(BALL, BALL, RING), Topology(3, 1)),
        (joined(RING, RING), Topology(2, 2)),
    ],
)
def test_parts_and_handles(mesh: Mesh, expected: Topology) -> None:
    assert topology(mesh) == expected
    unused = Mesh(np.concatenate([mesh.vertices, [[9.0, 9.0, 9.0]]]), mesh.faces)
    assert topology(unused) == expected


def test_corners_that_are_not_shared_are_joined_by_their_place() -> None:
    mesh = joined(RING)
    soup = Mesh(mesh.triangles.reshape(-1, 3), np.arange(3 * len(mesh.faces)).reshape(-1, 3))
    assert topology(soup) == Topology(1, 1)


def test_what_is_not_closed_has_no_genus() -> None:
    mesh = joined(BALL, RING)
    keep = np.ones(len(mesh.faces), bool)
    keep[5] = False
    assert topology(select_faces(mesh, keep)) == Topology(2, None)
    assert topology(select_faces(mesh, ~np.ones(len(mesh.faces), bool))) == Topology(0, None)
