"""The hash grid in PyTorch operations: any device and floating dtype, differentiable to any order."""

from __future__ import annotations

from itertools import product

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..grid import PRIMES, Grid, Level


def encode(grid: Grid, u: Float[Tensor, "n 3"], table: Float[Tensor, "entries f"]) -> Float[Tensor, "n features"]:
    """Return the features of points of the unit cube, level by level."""
    return torch.cat([_interpolated(grid, level, u, table) for level in grid.levels], dim=1)


def pullback(
    grid: Grid, u: Float[Tensor, "n 3"], table: Float[Tensor, "entries f"], g: Float[Tensor, "n features"]
) -> Float[Tensor, "n 3"]:
    """Return Jᵀg for the Jacobian J of the features at u, differentiable in u, the table and g."""
    with torch.enable_grad():
        u = u if u.requires_grad else u.detach().requires_grad_()
        return torch.autograd.grad(encode(grid, u, table), u, g, create_graph=True)[0]


def rows(level: Level, vertex: Int[Tensor, "n 3"]) -> Int[Tensor, " n"]:
    """Return the rows of the table that hold these vertices."""
    if level.hashed:
        x, y, z = ((vertex[:, d] * PRIMES[d]) & 0xFFFFFFFF for d in range(3))
        return level.offset + (x ^ y ^ z) % level.entries
    x, y, z = vertex.unbind(1)
    return level.offset + (x + level.resolution * (y + level.resolution * z)) % level.entries


def _interpolated(grid: Grid, level: Level, u: Tensor, table: Tensor) -> Float[Tensor, "n f"]:
    y = level.scale * u + 0.5
    cell = y.detach().floor()
    f = y - cell
    f = f * f * (3.0 - 2.0 * f) if grid.smooth else f
    total = torch.zeros((), dtype=table.dtype, device=table.device)
    for corner in product((0, 1), repeat=3):
        x, y, z = (f[:, d] if corner[d] else 1.0 - f[:, d] for d in range(3))
        vertex = cell.long() + torch.tensor(corner, device=u.device)
        total = total + (x * y * z)[:, None] * table[rows(level, vertex)]
    return total
