"""Unit quaternions (w, x, y, z) as rotations."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def axes(rotations: Float[Tensor, "n 4"]) -> Float[Tensor, "n 3 3"]:
    """Return the rotation matrices of unit quaternions; their columns are a Gaussian's axes."""
    w, x, y, z = rotations.unbind(dim=1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=1).reshape(-1, 3, 3)


def product(p: Float[Tensor, "4"], q: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
    """Return the quaternions of the rotations q followed by p."""
    a, b = p, q
    w = a[0] * b[:, 0] - (a[1:] * b[:, 1:]).sum(dim=1)
    v = a[0] * b[:, 1:] + b[:, :1] * a[1:] + torch.linalg.cross(a[1:].expand_as(b[:, 1:]), b[:, 1:])
    return torch.cat([w[:, None], v], dim=1)
