"""Where along rays samples go: to where the density is, as far as it is known before the samples are taken."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from .weights import composite

Depths = Callable[[Tensor, Tensor, Tensor, float], Tensor]
"""Optical depths, from the distances before and after sections, their lengths and the least width of the density."""

_EVERYWHERE = 0.02
"""Share of the samples that go anywhere, so that nothing is overlooked for ever."""


class Along:
    """Distances at places of each ray, in the order of the places."""

    def __init__(self, t: Float[Tensor, "n k"], values: Float[Tensor, "n k"]) -> None:
        self.t, self.values = t, values

    def with_more(self, t: Float[Tensor, "n j"], values: Float[Tensor, "n j"]) -> Along:
        """Return these and further places."""
        both, order = torch.cat([self.t, t], dim=1).sort(dim=1, stable=True)
        return Along(both, torch.cat([self.values, values], dim=1).gather(1, order))

    def depths(self, depths: Depths, width: float) -> Float[Tensor, "n sections"]:
        """Return the optical depths between the places."""
        return depths(self.values[:, :-1], self.values[:, 1:], self.t.diff(dim=1), width)

    def drawn(self, depths: Float[Tensor, "n sections"], u: Float[Tensor, "n j"]) -> Float[Tensor, "n j"]:
        """Return places that cut the weight of the rays at the shares u, which ascend.

        The weight of a section is shared with its neighbours (as in mip-NeRF, Barron et al. 2021, arXiv 2103.13415,
        §3.1): so samples enclose the surface although the places are coarse.
        """
        weights = composite(depths).weights
        edged = functional.pad(weights, (1, 1))
        pairs = torch.maximum(edged[:, :-1], edged[:, 1:])
        weights = 0.5 * (pairs[:, :-1] + pairs[:, 1:])
        length = self.t.diff(dim=1)
        everywhere = length / length.sum(dim=1, keepdim=True).clamp_min(1e-12)
        share = weights / weights.sum(dim=1, keepdim=True).clamp_min(1e-30)
        share = (1.0 - _EVERYWHERE) * share + _EVERYWHERE * everywhere
        cumulated = functional.pad(share.cumsum(dim=1), (1, 0))
        total = cumulated[:, -1:].clamp_min(1e-30)
        at = u * total
        right = torch.searchsorted(cumulated, at, right=True).clamp(1, share.shape[1])
        low, high = cumulated.gather(1, right - 1), cumulated.gather(1, right)
        begin, end = self.t.gather(1, right - 1), self.t.gather(1, right)
        within = ((at - low) / (high - low).clamp_min(1e-30)).clamp(0.0, 1.0)
        return begin + within * (end - begin)


def equidistant(near: Float[Tensor, " n"], far: Float[Tensor, " n"], count: int) -> Float[Tensor, "n k"]:
    """Return places from the near end of each ray to the far one."""
    steps = torch.linspace(0.0, 1.0, count, dtype=near.dtype, device=near.device)
    return near[:, None] + steps * (far - near)[:, None]


def shares(rays: int, count: int, like: Tensor, generator: torch.Generator | None) -> Float[Tensor, "n k"]:
    """Return ascending numbers in (0, 1), one in each of `count` equal parts: anywhere in it, or in its middle."""
    parts = torch.arange(count, dtype=like.dtype, device=like.device)
    if generator is None:
        return ((parts + 0.5) / count).expand(rays, count).contiguous()
    drawn = torch.rand(rays, count, generator=generator)
    return (parts + drawn.to(like)) / count


def edges(values: Float[Tensor, "n k"]) -> Float[Tensor, "n ends"]:
    """Return what is half way between neighbours, and as far beyond the first and the last."""
    middle = 0.5 * (values[:, :-1] + values[:, 1:])
    return torch.cat([2.0 * values[:, :1] - middle[:, :1], middle, 2.0 * values[:, -1:] - middle[:, -1:]], dim=1)
