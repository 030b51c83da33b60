"""The pinhole camera, against the formulas written out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from neuralfw.errors import UserError
from neuralfw.frames import fit_cameras
from neuralfw.geometry import Camera, Frame, nearest_to_axes
from neuralfw.recipe.model import FrameTable


@st.composite
def cameras(draw):
    number = st.floats(-3.0, 3.0)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec([draw(number) for _ in range(3)]).as_matrix()
    pose[:3, 3] = [draw(number) for _ in range(3)]
    focal = st.floats(5.0, 500.0)
    size = st.integers(1, 40)
    return Camera(pose, draw(focal), draw(focal), draw(number), draw(number), draw(size), draw(size))


@given(cameras(), st.integers(0, 2**32 - 1))
def test_projection_and_rays_are_inverse(camera, seed):
    distance = np.random.default_rng(seed).uniform(0.1, 9.0, size=(camera.height, camera.width, 1))
    origin, rays = camera.rays()
    assert np.allclose(np.linalg.norm(rays, axis=-1), 1.0)
    pixels, depth = camera.project((origin + distance * rays).reshape(-1, 3))
    y, x = np.mgrid[: camera.height, : camera.width]
    expected = np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5
    assert np.allclose(pixels, expected, rtol=0.0, atol=1e-6)
    assert np.allclose(depth, (distance * (rays @ camera.axis)[..., None]).ravel())


@given(cameras(), st.floats(0.01, 100.0))
def test_a_frame_moves_the_camera_with_the_world(camera, scale):
    rotation = Rotation.from_rotvec([0.3, -0.2, 0.9]).as_matrix()
    frame = Frame(center=np.array([1.0, -2.0, 0.5]), scale=scale, rotation=rotation)
    points = camera.center + 3.0 * np.random.default_rng(0).normal(size=(20, 3))
    pixels, depth = camera.project(points)
    moved = camera.in_training(frame)
    again, scaled = moved.project(frame.to_training(points))
    ahead = np.abs(depth) > 0.1
    assert np.allclose(again[ahead], pixels[ahead], rtol=1e-6, atol=1e-6) and np.allclose(scaled, depth * scale)
    assert np.allclose(moved.to_world(frame).world_to_camera, camera.world_to_camera, atol=1e-9)


def test_a_point_by_hand():
    camera = Camera.look_at((0, 0, -2), (0, 0, 0), (0, -1, 0), focal=10.0, width=8, height=6)
    pixels, depth = camera.project(np.array([[0.2, 0.4, 0.0]]))
    assert np.allclose(pixels, [[4.0 + 10.0 * 0.2 / 2.0, 3.0 + 10.0 * 0.4 / 2.0]]) and np.allclose(depth, [2.0])
    assert np.allclose(camera.axis, [0, 0, 1]) and np.allclose(camera.center, [0, 0, -2])


def test_scaling_and_cropping_show_the_same_rays():
    camera = Camera(np.eye(4), 31.0, 29.0, 10.4, 9.7, 24, 18)
    _, rays = camera.rays()
    part = camera.cropped(3, 2, 10, 5)
    assert np.allclose(part.rays()[1], rays[2:7, 3:13])
    half = camera.scaled(0.5)
    assert (half.width, half.height) == (12, 9)
    corners = half.project(rays[[0, -1], [0, -1]])[0]
    assert np.allclose(corners, [[0.25, 0.25], [11.75, 8.75]])
    odd = camera.scaled(0.3)
    assert (odd.width, odd.height) == (7, 5)
    assert np.allclose((odd.fx, odd.cy), (31.0 * 7 / 24, 9.7 * 5 / 18))


def test_what_is_seen():
    camera = Camera(np.eye(4), 10.0, 10.0, 4.0, 3.0, 8, 6)
    points = np.array([[0.0, 0, 1], [0, 0, -1], [0.39, 0, 1], [0.41, 0, 1], [0, -0.31, 1]])
    assert camera.sees(*camera.project(points)).tolist() == [True, False, True, False, False]


def test_the_point_that_cameras_look_at():
    target = np.array([0.3, -0.2, 0.7])
    ring = [Camera.look_at(target + d, target, (0, 0, 1), focal=9.0, width=4, height=4) for d in 2.0 * np.eye(3)[:2]]
    assert np.allclose(nearest_to_axes(ring), target)
    frame = fit_cameras(ring, FrameTable(fit="cameras", size=3.0))
    assert np.allclose(frame.center, target) and np.isclose(frame.scale, 1.5)
    parallel = [Camera(np.eye(4), 1.0, 1.0, 0.0, 0.0, 1, 1)] * 2
    assert np.allclose(nearest_to_axes(parallel), 0.0)
    with pytest.raises(UserError, match="stand apart"):
        fit_cameras(parallel, FrameTable(fit="cameras"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"world_to_camera": np.full((4, 4), np.nan)}, "not finite"),
        ({"world_to_camera": np.diag([1.0, 1.0, -1.0, 1.0])}, "must not mirror"),
        ({"fx": 0.0}, "focal lengths"),
        ({"cy": np.inf}, "focal lengths"),
        ({"height": 0}, "must hold pixels"),
    ],
)
def test_refused(change, message):
    good = {"world_to_camera": np.eye(4), "fx": 1.0, "fy": 1.0, "cx": 0.0, "cy": 0.0, "width": 1, "height": 1}
    with pytest.raises(UserError, match=message):
        Camera(**{**good, **change})
