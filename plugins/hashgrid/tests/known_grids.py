"""Small grids whose coarse levels have a row for each vertex and whose fine ones are hashed, and points in them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from neuralfw_hashgrid.config import HashGridConfig
from neuralfw_hashgrid.grid import Grid

SMALL = {"levels": 5, "log2_table_size": 10, "base": 4, "finest": 64}


def small_grid(**options: Any) -> Grid:
    """4, 8, 16, 32 and 64 vertices along an axis; the last three levels are hashed."""
    return Grid.of(HashGridConfig(**{**SMALL, **options}))


def drawn(grid: Grid, count: int = 200, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Points, a table, a gradient of the features and one of the points, the same random ones for every dtype."""
    random = torch.Generator().manual_seed(0)
    u = torch.rand(count, 3, generator=random, dtype=torch.float64)
    table = torch.randn(grid.entries, grid.features, generator=random, dtype=torch.float64)
    g = torch.randn(count, len(grid.levels) * grid.features, generator=random, dtype=torch.float64)
    v = torch.randn(count, 3, generator=random, dtype=torch.float64)
    u, table, g, v = (values.to(dtype).requires_grad_() for values in (u, table, g, v))
    return u, table, g, v


def normal(*shape: int) -> Tensor:
    """The same standard normal numbers each time."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))


def inside(count: int) -> Tensor:
    """Points of the box [-1, 1]³."""
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1
