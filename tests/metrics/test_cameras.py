"""Errors of cameras after alignment, and controlled noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from neuralfw.errors import UserError
from neuralfw.geometry.camera import Camera
from neuralfw.metrics.cameras import align, camera_errors, centers_of, disturbed, summary


def poses(count: int = 12, seed: int = 0) -> np.ndarray:
    """Cameras around the origin, which they look at."""
    random = np.random.default_rng(seed)
    places = random.normal(size=(count, 3))
    places *= (2.0 + random.random((count, 1))) / np.linalg.norm(places, axis=1, keepdims=True)
    up, origin = [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]
    cameras = [Camera.look_at(place, origin, up, focal=50.0, width=8, height=8) for place in places]
    return np.stack([camera.world_to_camera for camera in cameras])


def moved(true: np.ndarray, scale: float, rotation: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """The same cameras after the similarity x ↦ scale · rotation x + shift of the world."""
    result = true.copy()
    result[:, :3, :3] = true[:, :3, :3] @ rotation.T
    centers = scale * centers_of(true) @ rotation.T + shift
    result[:, :3, 3] = -np.einsum("vij,vj->vi", result[:, :3, :3], centers)
    return result


@pytest.mark.parametrize("seed", range(4))
def test_a_similarity_is_found_and_leaves_no_error(seed: int) -> None:
    true, rotation = poses(seed=seed), Rotation.random(random_state=seed).as_matrix()
    estimated = moved(true, 0.3, rotation, np.array([5.0, -2.0, 1.0]))
    errors = camera_errors(estimated, true)
    assert errors.rotation.max() < 1e-4 and errors.center.max() < 1e-6
    assert errors.similarity.scale == pytest.approx(1.0 / 0.3)
    np.testing.assert_allclose(errors.similarity.rotation, rotation.T, atol=1e-9)
    np.testing.assert_allclose(errors.similarity.apply(centers_of(estimated)), centers_of(true), atol=1e-6)


def test_one_wrong_camera_does_not_pull_the_others() -> None:
    true = poses()
    wrong = true.copy()
    wrong[0, :3, 3] += [0.5, 0.0, 0.0]
    errors = camera_errors(wrong, true)
    assert errors.center[0] == pytest.approx(0.5, abs=1e-4)
    assert errors.center[1:].max() < 1e-4


def test_noise_has_the_size_asked_for_and_differs_between_cameras() -> None:
    true = poses()
    noisy = disturbed(true, 2.0, 0.02, np.random.default_rng(0))
    turn = Rotation.from_matrix(noisy[:, :3, :3] @ true[:, :3, :3].transpose(0, 2, 1))
    np.testing.assert_allclose(np.degrees(turn.magnitude()), 2.0, atol=1e-6)
    shift = centers_of(noisy) - centers_of(true)
    np.testing.assert_allclose(np.linalg.norm(shift, axis=1), 0.02 * np.linalg.norm(centers_of(true), axis=1))
    assert np.linalg.matrix_rank(shift) == 3 and np.linalg.matrix_rank(turn.as_rotvec()) == 3
    again = disturbed(true, 2.0, 0.02, np.random.default_rng(0))
    np.testing.assert_array_equal(again, noisy)
    np.testing.assert_allclose(disturbed(true, 0.0, 0.0, np.random.default_rng(0)), true, atol=1e-12)


def test_what_is_reported_of_noise() -> None:
    true = poses(count=200)
    told = summary(camera_errors(disturbed(true, 2.0, 0.02, np.random.default_rng(7)), true))
    assert {*told} == {"rotation_mean", "rotation_median", "center_mean", "center_median"}
    assert told["rotation_mean"] == pytest.approx(2.0, abs=0.1)
    assert told["center_mean"] == pytest.approx(0.02 * 2.5, rel=0.1)


def test_cameras_that_leave_the_similarity_open_are_refused() -> None:
    with pytest.raises(UserError, match="two at least"):
        align(poses(1), poses(1))
    one_place = poses(3)
    one_place[:, :3, 3] = 0.0
    with pytest.raises(UserError, match="one place"):
        align(one_place, one_place)
