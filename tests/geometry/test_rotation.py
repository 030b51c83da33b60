"""Rotations as matrices, quaternions and vectors, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from neuralfw.geometry.rotation import matrix_of_quaternion, matrix_of_vector, quaternion_of_matrix

angles = st.floats(0.0, np.pi)
parts = st.floats(-1.0, 1.0)


@given(angles, parts, parts, parts)
def test_quaternions_and_matrices_at_every_angle(angle: float, x: float, y: float, z: float) -> None:
    axis = np.array([x, y, z]) + np.array([1.5, 0.0, 0.0])
    rotation = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis))
    matrix = torch.from_numpy(rotation.as_matrix())[None]
    quaternion = quaternion_of_matrix(matrix)
    expected = rotation.as_quat()[[3, 0, 1, 2]]
    assert abs(float(quaternion[0] @ torch.from_numpy(expected))) == pytest.approx(1.0, abs=1e-12)
    torch.testing.assert_close(matrix_of_quaternion(-2.5 * quaternion), matrix)
    torch.testing.assert_close(matrix_of_vector(torch.from_numpy(rotation.as_rotvec())[None]), matrix)


def test_gradients_of_a_vector_at_no_rotation() -> None:
    vector = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(matrix_of_vector, vector)
