"""Distances and signs against closed forms, brute force and the generalised winding number."""

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neuralfw.errors import UserError
from neuralfw.geometry import (
    Mesh,
    TriangleTree,
    contains,
    point_to_mesh_distance,
    read_mesh,
    sample_surface,
    signed_distance,
)


def mesh_of(shape):
    return Mesh(np.array(shape.vertices, dtype=np.float64), np.array(shape.faces, dtype=np.int64))


def box_distance(points, half):
    gap = np.abs(points) - half
    return np.linalg.norm(np.maximum(gap, 0), axis=1) + np.minimum(gap.max(axis=1), 0)


def minimise_over_triangle(point, triangle):
    """Squared distance by solving the constrained least squares on the plane, each edge and each corner."""
    best = min(((point - corner) ** 2).sum() for corner in triangle)
    for i in range(3):
        a, b = triangle[i], triangle[(i + 1) % 3]
        if (b != a).any():
            t = (point - a) @ (b - a) / ((b - a) @ (b - a))
            if 0 < t < 1:
                best = min(best, ((point - a - t * (b - a)) ** 2).sum())
    basis = np.stack([triangle[1] - triangle[0], triangle[2] - triangle[0]], axis=1)
    if np.linalg.matrix_rank(basis) == 2:
        u, v = np.linalg.lstsq(basis, point - triangle[0], rcond=None)[0]
        if u > 0 and v > 0 and u + v < 1:
            best = min(best, ((point - triangle[0] - basis @ [u, v]) ** 2).sum())
    return best


def winding_number(points, triangles):
    """By the solid angle of every triangle (van Oosterom and Strackee 1983)."""
    total = np.zeros(len(points))
    for i, x in enumerate(points):
        a, b, c = (triangles[:, k] - x for k in range(3))
        la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
        below = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
        total[i] = np.arctan2((a * np.cross(b, c)).sum(1), below).sum() / (2 * np.pi)
    return total


coordinate = st.floats(-2, 2).map(lambda v: round(v, 3)) | st.sampled_from([-1.0, 0.0, 1.0])


@given(arrays(np.float64, (4, 3, 3), elements=coordinate), arrays(np.float64, (6, 3), elements=coordinate))
@settings(max_examples=150)
def test_any_triangles_also_degenerate_ones(triangles, points):
    mesh = Mesh(triangles.reshape(-1, 3), np.arange(12).reshape(4, 3))
    expected = [min(minimise_over_triangle(x, t) for t in triangles) for x in points]
    np.testing.assert_allclose(point_to_mesh_distance(points, mesh) ** 2, expected, rtol=1e-6, atol=1e-9)


@given(
    half=arrays(np.float64, 3, elements=st.floats(0.1, 2)),
    seed=st.integers(0, 99),
    offset=st.sampled_from([0.0, 5.4e6]),
    splits=st.integers(0, 2),
)
@settings(max_examples=30, deadline=None)
def test_a_box_has_its_closed_form(half, seed, offset, splits):
    box = mesh_of(trimesh.creation.box(2 * half))
    for _ in range(splits):
        box = mesh_of(trimesh.Trimesh(*trimesh.remesh.subdivide(box.vertices, box.faces), process=False))
    points = np.random.default_rng(seed).uniform(-3, 3, (200, 3))
    moved = Mesh(box.vertices + offset, box.faces)
    np.testing.assert_allclose(signed_distance(moved, points + offset), box_distance(points, half), atol=1e-8)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_rays_through_edges_and_corners_count_once(axis):
    grid = np.stack(np.meshgrid(*[np.linspace(-1.5, 1.5, 7)] * 3), axis=-1).reshape(-1, 3)
    box = mesh_of(trimesh.creation.box((2, 2, 2)))
    split = trimesh.remesh.subdivide(box.vertices, box.faces)
    box = Mesh(np.roll(split[0], axis, axis=1), split[1].astype(np.int64))
    off_surface = np.abs(grid).max(axis=1) != 1.0
    expected = np.abs(grid).max(axis=1) < 1.0
    assert np.array_equal(contains(box, grid)[off_surface], expected[off_surface])


@given(seed=st.integers(0, 999))
@settings(max_examples=8, deadline=None)
def test_the_sign_is_that_of_the_winding_number_for_shapes_that_cut_themselves(seed):
    rng = np.random.default_rng(seed)
    balls = [mesh_of(trimesh.creation.icosphere(subdivisions=1)) for _ in range(3)]
    vertices = np.concatenate([ball.vertices + rng.uniform(-1, 1, 3) for ball in balls])
    faces = np.concatenate([ball.faces + i * len(ball.vertices) for i, ball in enumerate(balls)])
    mesh = Mesh(vertices, faces)
    points = rng.uniform(-2, 2, (60, 3))
    winding = winding_number(points, mesh.triangles)
    for axis in range(3):
        up, down = TriangleTree(mesh).crossings(points, axis)
        np.testing.assert_allclose(up - down, winding, atol=1e-9)
    assert np.array_equal(contains(mesh, points), winding > 0.5)
    inside_out = Mesh(vertices, np.ascontiguousarray(faces[:, ::-1]))
    np.testing.assert_allclose(signed_distance(inside_out, points), signed_distance(mesh, points), atol=1e-12)


def test_flipped_faces_and_small_holes_do_not_turn_the_sign():
    ball = mesh_of(trimesh.creation.icosphere(subdivisions=3))
    points = np.random.default_rng(0).uniform(-1.5, 1.5, (4000, 3))
    expected = contains(ball, points)
    flipped = ball.faces.copy()
    flipped[::7] = flipped[::7, ::-1]
    assert np.array_equal(contains(Mesh(ball.vertices, flipped), points), expected)
    holes = Mesh(ball.vertices, ball.faces[np.arange(len(ball.faces)) % 100 != 0])
    assert (contains(holes, points) == expected).mean() > 0.999


def test_many_points_and_one_face_and_none():
    one = Mesh(np.eye(3), np.array([[0, 1, 2]]))
    points = np.random.default_rng(0).normal(size=(20_000, 3))
    expected = [np.sqrt(minimise_over_triangle(x, np.eye(3))) for x in points[::500]]
    np.testing.assert_allclose(point_to_mesh_distance(points, one)[::500], expected, atol=1e-12)
    assert point_to_mesh_distance(np.zeros((0, 3)), one).shape == (0,)
    with pytest.raises(UserError, match="no faces"):
        point_to_mesh_distance(points, Mesh(np.eye(3), np.zeros((0, 3), dtype=np.int64)))


def test_a_point_equally_far_from_every_face_fits_the_memory(monkeypatch):
    monkeypatch.setattr("neuralfw.geometry.distance._MOST_PAIRS", 1000)
    ball = mesh_of(trimesh.creation.icosphere(subdivisions=4))
    centre = np.random.default_rng(0).normal(size=(50, 3)) * 1e-9
    exact = np.min(np.abs(np.einsum("fj,fj->f", ball.face_normals, ball.triangles[:, 0])))
    np.testing.assert_allclose(point_to_mesh_distance(centre, ball), exact, atol=1e-7)


def test_offsets_along_normals_of_a_real_mesh(shapes):
    mesh = read_mesh(shapes / "srb_anchor/gt/anchor.off")
    rng = np.random.default_rng(0)
    points, normals = sample_surface(mesh, 5000, rng)
    offset = rng.normal(scale=1e-3, size=5000)
    found = signed_distance(mesh, points + offset[:, None] * normals)
    assert np.array_equal(np.sign(found), np.sign(offset))
    assert (np.abs(found) <= np.abs(offset) + 1e-9).all()
    assert np.median(np.abs(found - offset)) < 1e-9
