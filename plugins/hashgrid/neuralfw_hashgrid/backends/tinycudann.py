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
        # tiny-cuda-nn forgets the gradient in u where neither the table nor g has one, and wants gradients contiguous
        u, table = (t if t.requires_grad else t.detach().requires_grad_() for t in (u, table))
        pulled = torch.autograd.grad(encode(grid, u, table), u, g.contiguous(), create_graph=True)[0]
        if pulled.requires_grad:
            pulled.register_hook(torch.Tensor.contiguous)
        return pulled


@functools.cache
def _encoding(grid: Grid) -> Any:
    """tiny-cuda-nn's module; its own parameters are never read."""
    options = {
        "otype": "HashGrid",
        "n_levels": len(grid.levels),
        "n_features_per_level": grid.features,
        "log2_hashmap_size": grid.log2_table_size,
        "base_resolution": grid.base,
        "per_level_scale": grid.growth * (1.0 - 1e-7),  # its single precision must not round a whole resolution up
        "interpolation": "Smoothstep" if grid.smooth else "Linear",
    }
    return tinycudann.Encoding(grid.dimensions, options, dtype=torch.float32)
