"""The hash grid in PyTorch operations: any device and floating dtype, differentiable to any order."""

from __future__ import annotations

import operator
from functools import reduce

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from ..grid import PRIMES, Grid


def encode(grid: Grid, u: Float[Tensor, "n d"], table: Float[Tensor, "entries f"]) -> Float[Tensor, "n features"]:
    """Return the features of points of the unit cube, level by level."""
    scale = torch.tensor([level.scale for level in grid.levels], dtype=u.dtype, device=u.device)
    y = scale[:, None] * u[:, None] + 0.5
    cell = y.detach().floor()
    f = y - cell
    f = f * f * (3.0 - 2.0 * f) if grid.smooth else f
    weights = reduce(operator.mul, _along_axes(torch.stack([1.0 - f, f], dim=-1))).flatten(2)
    own = rows(grid, cell.long())
    vertices = table.index_select(0, own.flatten()).view(*own.shape, grid.features)
    return torch.einsum("nlc,nlcf->nlf", weights, vertices).flatten(1)


def pullback(
    grid: Grid, u: Float[Tensor, "n d"], table: Float[Tensor, "entries f"], g: Float[Tensor, "n features"]
) -> Float[Tensor, "n d"]:
    """Return Jᵀg for the Jacobian J of the features at u, differentiable in u, the table and g."""
    with torch.enable_grad():
        u = u if u.requires_grad else u.detach().requires_grad_()
        return torch.autograd.grad(encode(grid, u, table), u, g, create_graph=True)[0]


def rows(grid: Grid, cell: Int[Tensor, "n levels d"]) -> Int[Tensor, "n levels corners"]:
    """Return the rows of the table that hold the vertices of a cell of each level, x changing fastest."""
    dense = sum(not level.hashed for level in grid.levels)  # the coarse ones
    axes = range(grid.dimensions)
    strides = [[PRIMES[k] if level.hashed else level.resolution**k for k in axes] for level in grid.levels]
    sizes = [(level.entries, level.offset) for level in grid.levels]
    entries, offset = torch.tensor(sizes, device=cell.device).t()[..., *([None] * grid.dimensions)]
    vertex = torch.stack([cell, cell + 1], dim=-1) * torch.tensor(strides, device=cell.device)[..., None]
    along = _along_axes(vertex)
    own = reduce(operator.add, along)[:, :dense] % entries[:dense]
    shared = reduce(operator.xor, along)[:, dense:] & (entries[dense:] - 1)
    features: Tensor = (torch.cat([own, shared], dim=1) + offset).flatten(2)
    return features


def _along_axes(pairs: Shaped[Tensor, "n levels d 2"]) -> list[Tensor]:
    """What belongs to the two vertices of each axis, each along an axis of its own: (n, levels, …, z, y, x)."""
    d = pairs.shape[2]
    return [pairs[:, :, k].reshape(*pairs.shape[:2], *(2 if d - 1 - i == k else 1 for i in range(d))) for k in range(d)]
