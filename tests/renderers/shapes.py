"""Exact signed distances, rays at them, and a scene whose SDF is one of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from neuralfw.renderers.rays import Rays

Sdf = Callable[[Tensor], Tensor]
RADIUS = 0.6


def sphere(x: Tensor) -> Tensor:
    return x.norm(dim=1) - RADIUS


def torus(x: Tensor) -> Tensor:
    return torch.stack([x[:, :2].norm(dim=1) - 0.5, x[:, 2]], dim=1).norm(dim=1) - 0.2


def box(x: Tensor) -> Tensor:
    beyond = x.abs() - x.new_tensor([0.5, 0.4, 0.3])
    return beyond.clamp_min(0.0).norm(dim=1) + beyond.amax(dim=1).clamp_max(0.0)


SHAPES: dict[str, Sdf] = {"sphere": sphere, "torus": torus, "box": box}


def random_rays(count: int, dtype: torch.dtype = torch.float64, *, distance: float = 2.5, seed: int = 0) -> Rays:
    """Rays from points around the unit sphere to places in and about it."""
    random = torch.Generator().manual_seed(seed)
    origins, targets = (torch.randn(count, 3, generator=random, dtype=torch.float64) for _ in range(2))
    origins = distance * torch.nn.functional.normalize(origins, dim=1)
    directions = torch.nn.functional.normalize(0.5 * targets - origins, dim=1)
    return Rays(origins.to(dtype), directions.to(dtype), torch.ones(count, dtype=dtype), (count,))


def brute_force(sdf: Sdf, rays: Rays, near: Tensor, far: Tensor) -> tuple[Tensor, Tensor]:
    """Where each ray first meets a shape, or infinity, and its least distance; by samples and bisection."""
    steps = torch.linspace(0.0, 1.0, 1500, dtype=near.dtype)
    at = near[:, None] + steps * (far - near)[:, None]

    def along(t: Tensor) -> Tensor:
        points = rays.origins[:, None] + t[..., None] * rays.directions[:, None]
        return sdf(points.reshape(-1, 3)).reshape(t.shape)

    values = along(at)
    inside = values < 0.0
    first = inside.int().argmax(dim=1).clamp_min(1)
    low, high = (at.gather(1, k[:, None]) for k in (first - 1, first))
    for _ in range(40):
        middle = 0.5 * (low + high)
        within = along(middle) < 0.0
        low, high = torch.where(within, low, middle), torch.where(within, middle, high)
    t = torch.where(inside.any(dim=1), high[:, 0], torch.inf)
    return t, values.min(dim=1).values
