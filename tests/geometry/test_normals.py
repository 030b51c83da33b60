"""Estimated normals lie along the true ones, and their signs are right for closed shapes, single views and terrain."""

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from neuralfw.errors import UserError
from neuralfw.geometry import (
    Mesh,
    PointCloud,
    clean,
    estimate_normals,
    orient_normals,
    read_point_cloud,
    sample_surface,
    with_normals,
)

UTM = np.array([512183.0, 5403259.0, 316.0])


def mesh_of(shape):
    return Mesh(np.array(shape.vertices, dtype=np.float64), np.array(shape.faces, dtype=np.int64))


SHAPES = {
    "box": mesh_of(trimesh.creation.box((1.0, 2.0, 0.5))),
    "torus": mesh_of(trimesh.creation.torus(1.0, 0.35)),
    "capsule": mesh_of(trimesh.creation.capsule(2.0, 0.5)),
    "ring": mesh_of(trimesh.creation.annulus(0.6, 1.0, 0.4)),
}


def correct(normals, true):
    return float((np.einsum("nj,nj->n", normals, true) > 0).mean())


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_the_normal_of_a_plane_is_exact_anywhere_on_earth(seed):
    rng = np.random.default_rng(seed)
    R = Rotation.random(random_state=seed).as_matrix()
    flat = np.hstack([rng.uniform(-1, 1, (60, 2)), np.zeros((60, 1))])
    normals = estimate_normals(flat @ R.T + UTM)
    np.testing.assert_allclose(np.abs(normals @ R[:, 2]), 1.0, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", [1200, 4000])
def test_closed_shapes_look_outwards(shape, n):
    points, true = sample_surface(SHAPES[shape], n, np.random.default_rng(0))
    found = orient_normals(points + UTM, estimate_normals(points + UTM))
    assert found.rule == "outward" and found.agreement > 0.9
    assert correct(found.normals, true) > 0.985
    np.testing.assert_allclose(np.linalg.norm(found.normals, axis=1), 1.0, atol=1e-12)


def test_signs_given_do_not_matter():
    points, _ = sample_surface(SHAPES["torus"], 3000, np.random.default_rng(1))
    axes = estimate_normals(points)
    flips = np.random.default_rng(2).choice([-1.0, 1.0], (3000, 1))
    np.testing.assert_allclose(orient_normals(points, axes).normals, orient_normals(points, flips * axes).normals)


def seen_from(eye, points, normals):
    return np.einsum("nj,nj->n", eye - points, normals) > 0


@pytest.mark.parametrize("n", [1500, 6000])
def test_a_single_view_of_a_convex_shape_looks_outwards_without_being_told(n):
    points, true = sample_surface(SHAPES["capsule"], n, np.random.default_rng(0))
    seen = seen_from(np.array([3.0, 1.0, 2.0]), points, true)
    assert correct(orient_normals(points[seen], estimate_normals(points[seen])).normals, true[seen]) > 0.99


def test_a_concave_view_follows_the_sensor_inside_the_room():
    points, true = sample_surface(SHAPES["box"], 4000, np.random.default_rng(0))
    eye = np.array([0.2, 0.5, 4.0])
    floor_and_walls = ~seen_from(eye, points, true)
    seen, inwards = points[floor_and_walls], -true[floor_and_walls]
    found = orient_normals(seen, estimate_normals(seen), viewpoint=eye)
    assert found.rule == "viewpoint" and correct(found.normals, inwards) > 0.99


def test_an_unlikely_viewpoint_is_not_followed():
    points, true = sample_surface(SHAPES["torus"], 3000, np.random.default_rng(0))
    half = points[:, 2] > -0.1
    found = orient_normals(points[half] + UTM, estimate_normals(points[half]), viewpoint=np.zeros(3))
    assert found.rule == "outward" and correct(found.normals, true[half]) > 0.95


@pytest.mark.parametrize("n", [800, 5000])
def test_terrain_looks_up(n):
    xy = np.random.default_rng(0).uniform(-50, 50, (n, 2))
    z = 4 * np.sin(xy[:, 0] / 9) * np.cos(xy[:, 1] / 13)
    points = np.column_stack([xy, z]) + UTM
    found = orient_normals(points, estimate_normals(points))
    assert found.rule == "up" and (found.normals[:, 2] > 0).all()


def test_a_doubtful_sign_is_said_to_be_doubtful():
    xy = np.random.default_rng(0).uniform(-1, 1, (2000, 2))
    wall = np.column_stack([0.1 * np.sin(5 * xy[:, 0]), xy])
    assert "doubtful" in with_normals(PointCloud(wall)).notes[-1]
    facing = with_normals(PointCloud(wall, viewpoint=np.array([3.0, 0, 0])))
    assert (facing.normals[:, 0] > 0).all() and len(facing.notes) == 1


def test_given_normals_are_kept():
    points, true = sample_surface(SHAPES["box"], 100, np.random.default_rng(0))
    cloud = PointCloud(points, -true)
    assert with_normals(cloud) is cloud


def test_a_viewpoint_must_exist_to_be_asked_for():
    points, _ = sample_surface(SHAPES["box"], 100, np.random.default_rng(0))
    with pytest.raises(UserError, match="VIEWPOINT"):
        with_normals(PointCloud(points), towards="viewpoint")
    with pytest.raises(UserError, match="at least 8 points"):
        estimate_normals(points[:5])


@pytest.mark.parametrize(
    ("name", "fraction"),
    [
        ("pts_with_normals/bunny-1000.pts", 0.99),
        ("pts_with_normals/bunny-500.pts", 0.98),
        ("srb_anchor/scan/anchor.ply", 0.995),
    ],
)
def test_scans_agree_with_their_own_normals(shapes, name, fraction):
    cloud = clean(read_point_cloud(shapes / name))
    found = orient_normals(cloud.points, estimate_normals(cloud.points))
    assert found.rule == "outward" and correct(found.normals, cloud.normals) > fraction


def test_real_sensors(shapes):
    milk = clean(read_point_cloud(shapes / "kinect_milk/milk.pcd"))
    by_sensor = with_normals(milk)
    assert "towards the sensor" in by_sensor.notes[-1]
    assert correct(by_sensor.normals, -milk.points) > 0.999
    by_shape = with_normals(milk, towards="outward")
    assert correct(by_shape.normals, by_sensor.normals) > 0.999
    lidar = with_normals(clean(read_point_cloud(shapes / "lidar_samp31/samp31-utm.pcd")))
    assert "upwards" in lidar.notes[-1] and (lidar.normals[:, 2] > 0).mean() > 0.97
