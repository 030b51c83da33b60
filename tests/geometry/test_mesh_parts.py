"""Parts of meshes: boxes, connected parts by area, selections."""

import numpy as np
import pytest
import trimesh

from neuralfw.errors import UserError
from neuralfw.geometry import Mesh
from neuralfw.geometry.cleaning import crop, largest_parts, parts, select_faces


def balls(*radii: float) -> Mesh:
    """Balls in a row along x, in a common random order of vertices and faces, coloured by their radius."""
    meshes = [trimesh.creation.icosphere(subdivisions=2, radius=radius) for radius in radii]
    for place, mesh in enumerate(meshes):
        mesh.apply_translation([4.0 * place, 0, 0])
    whole = trimesh.util.concatenate(meshes)
    colors = np.repeat(radii, [len(mesh.vertices) for mesh in meshes])[:, None] * np.ones(3)
    order = np.random.default_rng(0).permutation(len(whole.vertices))
    faces = np.argsort(order)[whole.faces]
    return Mesh(np.array(whole.vertices)[order], np.random.default_rng(1).permutation(faces), colors[order])


def test_parts_are_numbered_by_area() -> None:
    mesh = balls(0.5, 1.0, 0.8)
    numbers = parts(mesh)
    place = np.round(mesh.triangles.mean(axis=1)[:, 0] / 4.0).astype(int)
    np.testing.assert_array_equal(numbers, np.array([2, 0, 1])[place])
    unused = Mesh(np.concatenate([np.full((3, 3), 9.0), mesh.vertices]), mesh.faces + 3)
    np.testing.assert_array_equal(parts(unused), numbers)


def test_the_largest_parts_stay_whole() -> None:
    mesh = balls(0.5, 1.0, 0.8)
    two = largest_parts(mesh, 2)
    assert two.is_closed and len(two.vertices) == 2 * len(mesh.vertices) / 3
    assert set(np.unique(two.colors)) == {0.8, 1.0}
    assert largest_parts(mesh, 5).area == pytest.approx(mesh.area)


def test_a_crop_keeps_what_lies_in_the_box() -> None:
    mesh = balls(0.5, 1.0, 0.8)
    middle = crop(mesh, np.array([2.0, -2, -2]), np.array([6.0, 2, 2]))
    assert middle.is_closed and np.unique(middle.colors) == [1.0]
    half = crop(mesh, np.array([2.0, -2, -2]), np.array([4.0, 2, 2]))
    assert 0.4 < half.area / middle.area < 0.5 and half.vertices[:, 0].max() <= 4.0
    with pytest.raises(UserError, match="nothing of the mesh lies in the box"):
        crop(mesh, np.array([20.0, 20, 20]), np.array([21.0, 21, 21]))


def test_a_selection_keeps_order_and_positions() -> None:
    mesh = balls(0.5, 1.0)
    keep = np.random.default_rng(2).random(len(mesh.faces)) < 0.3
    some = select_faces(mesh, keep)
    np.testing.assert_array_equal(some.triangles, mesh.triangles[keep])
    assert len(np.unique(some.faces)) == len(some.vertices)
    assert len(select_faces(mesh, np.zeros(len(mesh.faces), dtype=bool)).vertices) == 0
