"""Rotations as matrices, quaternions (w, x, y, z) and rotation vectors, as differentiable functions of tensors."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def matrix_of_quaternion(q: Float[Tensor, "n 4"]) -> Float[Tensor, "n 3 3"]:
    """Return the rotations of quaternions (w, x, y, z) of any length but 0."""
    w, x, y, z = torch.nn.functional.normalize(q, dim=1).unbind(1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)


def quaternion_of_matrix(rotation: Float[Tensor, "n 3 3"]) -> Float[Tensor, "n 4"]:
    """Return the unit quaternion (w, x, y, z) of each rotation; of the two, that whose largest component is positive.

    Each is read off at its largest component, so that no angle, 180 degrees included, loses precision.
    """
    m = [[rotation[:, i, j] for j in range(3)] for i in range(3)]
    trace = m[0][0] + m[1][1] + m[2][2]
    squares = torch.stack([1 + trace, *(1 + 2 * m[i][i] - trace for i in range(3))], dim=1)
    products = torch.stack(
        [
            torch.stack([squares[:, 0], m[2][1] - m[1][2], m[0][2] - m[2][0], m[1][0] - m[0][1]], dim=1),
            torch.stack([m[2][1] - m[1][2], squares[:, 1], m[1][0] + m[0][1], m[0][2] + m[2][0]], dim=1),
            torch.stack([m[0][2] - m[2][0], m[1][0] + m[0][1], squares[:, 2], m[2][1] + m[1][2]], dim=1),
            torch.stack([m[1][0] - m[0][1], m[0][2] + m[2][0], m[2][1] + m[1][2], squares[:, 3]], dim=1),
        ],
        dim=1,
    )
    largest = products[torch.arange(len(rotation)), squares.argmax(dim=1)]
    return torch.nn.functional.normalize(largest, dim=1)


def matrix_of_vector(w: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3 3"]:
    """Return the rotations about the directions of vectors, by their lengths in radians."""
    zero = torch.zeros_like(w[:, 0])
    x, y, z = w.unbind(1)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).reshape(-1, 3, 3)
    rotation: Tensor = torch.linalg.matrix_exp(cross)
    return rotation
