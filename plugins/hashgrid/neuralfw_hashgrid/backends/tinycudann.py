"""The hash grid by tiny-cuda-nn, in float32 and on the table of the encoder, so that runs move between backends."""

from __future__ import annotations

import functools
from typing import Any

import tinycudann
import torch
from jaxtyping import Float
from torch import Tensor

from ..grid import Grid


def encode(grid: Grid, u: Float[Tensor, "n d"], table: Float[Tensor, "entries f"]) -> Float[Tensor, "n features"]:
    """Return the features of points of the unit cube; see `plain.encode`."""
    if not len(u):
        return u.new_empty(0, len(grid.levels) * grid.features)
    own = table[: grid.entries].flatten()
    return torch.func.functional_call(_encoding(grid), {"params": own}, (u,))  # type: ignore[no-any-return]


def pullback(
    grid: Grid, u: Float[Tensor, "n d"], table: Float[Tensor, "entries f"], g: Float[Tensor, "n features"]
) -> Float[Tensor, "n d"]:
    """Return Jᵀg for the Jacobian J of the features at u, differentiable once more in u, the table and g."""
    with torch.enable_grad():
        u = u if u.requires_grad else u.detach().requires_grad_()
        return torch.autograd.grad(encode(grid, u, table), u, g, create_graph=True)[0]


@functools.cache
def _encoding(grid: Grid) -> Any:
    """tiny-cuda-nn's module; its own parameters are never read."""
    options = {
        "otype": "HashGrid",
        "n_levels": len(grid.levels),
        "n_features_per_level": grid.features,
        "log2_hashmap_size": grid.log2_table_size,
        "base_resolution": grid.base,
        "per_level_scale": grid.growth,
        "interpolation": "Smoothstep" if grid.smooth else "Linear",
    }
    return tinycudann.Encoding(grid.dimensions, options, dtype=torch.float32)
