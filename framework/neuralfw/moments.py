"""Evenly spaced moments of a sequence, and how much of each a time between them has."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor


class Blend(NamedTuple):
    """How much of each moment a time has, and how that changes.

    Attributes:
        weights: they sum to 1.
        rates: their derivatives in time; at a moment those to the right of it, at the last to the left.
    """

    weights: Float[Tensor, "n moments"]
    rates: Float[Tensor, "n moments"]


def blended(t: Float[Tensor, " n"], moments: int, *, cubic: bool = False) -> Blend:
    """Return the shares of evenly spaced moments, the first at 0 and the last at 1, in times.

    Linear between two moments, or by Catmull-Rom splines of four. Times beyond [0, 1] have all of the end there.
    """
    last = moments - 1
    place = t.clamp(0.0, 1.0) * last
    cell = place.detach().floor().clamp(max=last - 1)
    f = place - cell
    if cubic:
        first, weights, rates = -1, _catmull_rom(f), _catmull_rom_rates(f)
    else:
        first, weights = 0, torch.stack([1.0 - f, f], dim=1)
        rates = f.new_tensor([-1.0, 1.0]).expand(len(f), 2)
    rates = rates * last * ((t >= 0.0) & (t <= 1.0))[:, None]
    moment = cell.long()[:, None] + torch.arange(first, first + weights.shape[1], device=t.device)
    return Blend(*(_onto_moments(values, moment, last) for values in (weights, rates)))


def _onto_moments(
    values: Float[Tensor, "n taps"], moment: Int64[Tensor, "n taps"], last: int
) -> Float[Tensor, "n moments"]:
    """Return what the taps of a cell give each moment; one beyond the ends is 2 e(end) - e(its mirror image)."""
    beyond = (moment < 0) | (moment > last)
    end = moment.clamp(0, last)
    out = values.new_zeros(len(values), last + 1)
    out = out.scatter_add(1, end, torch.where(beyond, 2.0 * values, values))
    return out.scatter_add(1, 2 * end - moment, torch.where(beyond, -values, torch.zeros_like(values)))


def _catmull_rom(f: Float[Tensor, " n"]) -> Float[Tensor, "n 4"]:
    return 0.5 * torch.stack(
        [-f + 2 * f**2 - f**3, 2 - 5 * f**2 + 3 * f**3, f + 4 * f**2 - 3 * f**3, f**3 - f**2], dim=1
    )


def _catmull_rom_rates(f: Float[Tensor, " n"]) -> Float[Tensor, "n 4"]:
    return 0.5 * torch.stack([-1 + 4 * f - 3 * f**2, -10 * f + 9 * f**2, 1 + 8 * f - 9 * f**2, 3 * f**2 - 2 * f], dim=1)
