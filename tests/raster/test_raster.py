"""The rasteriser against ray casting written here, and against closed forms."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralfw.geometry import Camera, Mesh, read_mesh
from neuralfw.raster import rasterize, ray_distance, silhouette, visible_faces
from neuralfw.shipped import find_recipe

AHEAD = np.eye(4)


def camera(width: int = 64, height: int = 48, focal: float = 40.0, pose: np.ndarray = AHEAD) -> Camera:
    return Camera(pose, focal, 1.1 * focal, 0.5 * width + 1.3, 0.5 * height - 2.1, width, height)


def cube(half: float = 1.0) -> Mesh:
    corners = half * np.array([[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    return Mesh(corners, np.array([t for a, b, c, d in quads for t in ([a, b, c], [a, c, d])]))


def cast(mesh: Mesh, seen_by: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Möller and Trumbore's intersection of every ray with every face: the nearest one's distance, and which it is."""
    origin, directions = seen_by.rays()
    a, e1, e2 = mesh.triangles[:, 0], *(mesh.triangles[:, k] - mesh.triangles[:, 0] for k in (1, 2))
    distance, face = [], []
    s = origin - a
    q = np.cross(s, e1)
    for rays in np.array_split(directions.reshape(-1, 3), 64):
        p = np.cross(rays[:, None], e2)
        with np.errstate(divide="ignore", invalid="ignore"):
            det = (p * e1).sum(-1)
            u, v, t = (p * s).sum(-1) / det, (rays[:, None] * q).sum(-1) / det, (e2 * q).sum(-1) / det
        inner = np.nan_to_num(np.minimum(np.minimum(u, v), 1 - u - v), nan=-1.0)
        t = np.where((inner >= 0) & (t > 0), t, np.inf)
        distance.append(t.min(axis=1)), face.append(t.argmin(axis=1))
    shape = directions.shape[:2]
    return np.concatenate(distance).reshape(shape), np.concatenate(face).reshape(shape)


def test_agrees_with_ray_casting_on_a_real_mesh() -> None:
    mesh = read_mesh(find_recipe("igr").parent / "data/spot_mesh.ply")
    center = mesh.vertices.mean(axis=0)
    eye = Camera.look_at(center + np.array([0.9, 0.5, -1.3]), center, [0.0, 1.0, 0.0], focal=60.0, width=56, height=44)
    distance, face = cast(mesh, eye)
    found, drawn = ray_distance(mesh, eye), rasterize(mesh.vertices, mesh.faces, eye)
    hit = np.isfinite(distance)
    assert 0.15 < hit.mean() < 0.8
    np.testing.assert_array_equal(drawn.hit, hit)
    np.testing.assert_allclose(found[hit], distance[hit], rtol=1e-6)
    assert np.isinf(found[~hit]).all()
    assert (drawn.face[hit] == face[hit]).mean() > 0.995  # the rest: two faces at one depth
    points = np.einsum("nk,nkc->nc", drawn.barycentric[hit].astype(float), mesh.triangles[drawn.face[hit]])
    pixels, depth = eye.project(points)
    rows, columns = np.nonzero(hit)
    np.testing.assert_allclose(pixels, np.stack([columns, rows], axis=1) + 0.5, atol=1e-3)
    np.testing.assert_allclose(depth, drawn.depth[hit], rtol=1e-5)


def test_a_slanted_triangle_in_closed_form() -> None:
    eye = camera()
    vertices = np.array([[-1.0, -1.0, 2.0], [2.0, -0.5, 5.0], [0.0, 1.5, 3.0]])
    drawn = rasterize(vertices, np.array([[0, 1, 2]]), eye)
    normal = np.cross(vertices[1] - vertices[0], vertices[2] - vertices[0])
    rays = eye.rays()[1]
    depth = (normal @ vertices[0]) / (rays @ normal) * rays[..., 2]
    np.testing.assert_allclose(drawn.depth[drawn.hit], depth[drawn.hit], rtol=1e-6)
    points = (depth / rays[..., 2])[..., None] * rays
    weights = np.einsum("ij,hwj->hwi", np.linalg.inv(vertices.T), points)
    np.testing.assert_array_equal(drawn.hit, (weights > 0).all(axis=-1) & (depth > 0))
    np.testing.assert_allclose(drawn.barycentric[drawn.hit], weights[drawn.hit], atol=1e-5)
    np.testing.assert_allclose(drawn.interpolate(vertices, np.array([[0, 1, 2]]))[drawn.hit], points[drawn.hit], 1e-4)
    assert not drawn.barycentric[~drawn.hit].any()


def test_a_cube_shows_its_front() -> None:
    eye = Camera.look_at([0.0, 0.0, -4.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0], focal=30.0, width=40, height=40)
    drawn = rasterize(cube().vertices, cube().faces, eye)
    assert drawn.hit.sum() == 20 * 20  # 2 wide at depth 3, focal 30
    np.testing.assert_allclose(drawn.depth[drawn.hit], 3.0, rtol=1e-6)
    np.testing.assert_array_equal(silhouette(cube(), eye), drawn.hit)


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_fan_of_triangles_covers_each_pixel_once(seed: int, exact: bool) -> None:
    """Corners on pixel centres, so that many centres lie on edges, and on the hub: with depths at which all numbers are
    exact that too is covered once; otherwise its lines meet in one point only up to rounding."""
    rng = np.random.default_rng(seed)
    eye = Camera(AHEAD, 16.0, 16.0, 16.0, 16.0, 32, 32)
    rim = np.array([[2, 2], [9, 1], [20, 3], [30, 2], [31, 16], [29, 30], [15, 31], [1, 28], [2, 15]])
    hub = rng.integers(10, 20, (1, 2))
    pixels = np.concatenate([hub, rim]) + 0.5
    depth = rng.choice([1.0, 2.0, 4.0], (10, 1)) if exact else rng.uniform(1.0, 3.0, (10, 1))
    vertices = np.concatenate([(pixels - 16.0) / 16.0 * depth, depth], axis=1)
    faces = np.array([[0, 1 + k, 1 + (k + 1) % 9] for k in range(9)])
    each = np.array([rasterize(vertices, faces[[k]], eye).hit for k in range(9)])
    turned = np.array([rasterize(vertices, faces[[k], ::-1].copy(), eye).hit for k in range(9)])
    np.testing.assert_array_equal(each, turned)
    times = each.sum(axis=0)
    counted = np.ones_like(times, dtype=bool)
    counted[hub[0, 1], hub[0, 0]] = exact
    assert times[counted].max() == 1
    counted[:4], counted[-4:], counted[:, :4], counted[:, -4:] = False, False, False, False
    assert times[counted].min() == 1
    np.testing.assert_array_equal(rasterize(vertices, faces, eye).hit, times > 0)


def test_triangles_through_the_camera_are_cut_at_the_near_plane() -> None:
    floor = np.array([[-50.0, 1.0, -50.0], [50.0, 1.0, -50.0], [50.0, 1.0, 50.0], [-50.0, 1.0, 50.0]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    eye = camera()
    drawn = rasterize(floor, faces, eye, near=0.5)
    rays = eye.rays()[1]
    with np.errstate(divide="ignore"):
        depth = np.where(rays[..., 1] > 0, rays[..., 2] / rays[..., 1], np.inf)
    across = np.abs(depth / rays[..., 2] * rays[..., 0])
    expected = (depth >= 0.5) & (depth <= 50.0) & (across <= 50.0)
    np.testing.assert_array_equal(drawn.hit, expected)
    np.testing.assert_allclose(drawn.depth[expected], depth[expected], rtol=1e-6)
    behind = rasterize(floor - [0.0, 0.0, 60.0], faces, eye)
    assert not behind.hit.any() and np.isinf(behind.depth).all()


def test_nothing_is_seen_of_faces_without_area_or_without_numbers() -> None:
    vertices = np.array([[0.0, 0.0, 2.0], [1.0, 0.0, 2.0], [2.0, 0.0, 2.0], [np.nan, 0.0, 2.0], [0.0, 1.0, 2.0]])
    assert not rasterize(vertices, np.array([[0, 1, 2], [0, 3, 4], [1, 1, 4]]), camera()).hit.any()
    assert not rasterize(vertices, np.zeros((0, 3), dtype=np.int64), camera()).hit.any()


def test_the_number_of_threads_changes_nothing() -> None:
    mesh, before = cube(), torch.get_num_threads()
    eye = Camera.look_at([2.0, 1.0, -3.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0], focal=90.0, width=101, height=77)
    drawn = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        drawn.append(rasterize(mesh.vertices, mesh.faces, eye))
    torch.set_num_threads(before)
    for name in ("face", "depth", "barycentric"):
        np.testing.assert_array_equal(getattr(drawn[0], name), getattr(drawn[1], name))


def test_visible_faces_are_those_that_look_at_a_camera_and_are_not_hidden() -> None:
    inner, outer = cube(0.4), cube()
    both = Mesh(np.concatenate([outer.vertices, inner.vertices]), np.concatenate([outer.faces, inner.faces + 8]))
    eyes = [
        Camera.look_at(center, [0.0, 0.0, 0.0], [0.0, 1.0, 0.0], focal=40.0, width=48, height=48)
        for center in ([3.0, 0.5, 0.3], [0.4, 0.3, -3.0])
    ]
    facing = np.zeros(24, dtype=bool)
    for eye in eyes:
        facing[:12] |= ((eye.center - both.triangles.mean(axis=1)) * both.face_normals).sum(axis=1)[:12] > 0
    np.testing.assert_array_equal(visible_faces(both, eyes), facing)
    assert not visible_faces(both, []).any()


def test_faces_smaller_than_a_pixel_are_seen() -> None:
    mesh = cube()
    for _ in range(5):
        mesh = _split(mesh)
    eye = Camera.look_at([0.0, 0.0, -4.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0], focal=12.0, width=20, height=20)
    front = mesh.face_normals[:, 2] < -0.9
    seen = visible_faces(mesh, [eye])
    assert front.sum() > 20 * silhouette(mesh, eye).sum() > 0
    assert seen[front].all()
    assert seen[mesh.face_normals[:, 2] > 0.9].mean() < 0.5  # within a pixel of the silhouette


def _split(mesh: Mesh) -> Mesh:
    a, b, c = mesh.triangles.transpose(1, 0, 2)
    ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
    corners = np.concatenate([np.stack(t, axis=1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
    return Mesh(corners.reshape(-1, 3), np.arange(3 * len(corners)).reshape(-1, 3))


@pytest.mark.parametrize("near", [1e-6, 0.1])
def test_depth_is_that_of_the_world(near: float) -> None:
    """A camera that stands elsewhere and turns sees the moved mesh as before."""
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turn, [0.2, -0.3, 4.0]
    mesh = cube()
    placed = mesh.vertices @ turn.T + pose[:3, 3]
    here = rasterize(placed, mesh.faces, camera(), near=near)
    there = rasterize(mesh.vertices, mesh.faces, camera(pose=pose), near=near)
    np.testing.assert_array_equal(here.face, there.face)
    np.testing.assert_allclose(here.depth, there.depth, rtol=1e-6)
