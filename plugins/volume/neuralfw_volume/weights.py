"""How much each section of a ray counts: optical depths, from signed distances at the ends of sections.

The optical depth of a section is the integral of the density over it; light passes with the share exp(-depth). Both
densities are integrated exactly for a distance that is linear in a section, however long that is: a surface between two
samples is never missed, and its weight does not depend on where the samples lie.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

_LEAST = 1e-30
"""Optical depth of what is as good as empty."""


def neus_depth(
    before: Float[Tensor, "n k"], after: Float[Tensor, "n k"], sharpness: Tensor | float
) -> Float[Tensor, "n k"]:
    """Return the optical depths of NeuS (Wang et al. 2021, arXiv 2106.10689, eqs. 10 to 13).

    There 1 - α = Φ(s f₂)/Φ(s f₁) where the distance falls from f₁ to f₂, with Φ the sigmoid; so the optical depth is
    log Φ(s f₁) - log Φ(s f₂). Where the distance grows nothing is hidden.

    Args:
        before: signed distances where the sections begin.
        after: where they end.
        sharpness: s, per scene unit.
    """
    return (functional.softplus(-sharpness * after) - functional.softplus(-sharpness * before)).clamp_min(0.0)


def volsdf_depth(
    before: Float[Tensor, "n k"], after: Float[Tensor, "n k"], length: Float[Tensor, "n k"], beta: Tensor | float
) -> Float[Tensor, "n k"]:
    """Return the optical depths of VolSDF (Yariv et al. 2021, arXiv 2106.12052, eqs. 2 and 3, α = 1/β).

    The density is Ψ(-f)/β with Ψ the distribution function of Laplace's law of scale β. Its integral over f, times the
    length of the section per change of f, replaces the sum that the paper bounds the error of (§3.3).

    Args:
        before: signed distances where the sections begin.
        after: where they end.
        length: of the sections.
        beta: β, scene units.
    """
    change = after - before
    level = change.abs() < 1e-3 * beta
    integral = _laplace_integral(after / beta) - _laplace_integral(before / beta)
    mean = torch.where(
        level, _laplace(0.5 * (before + after) / beta) / beta, integral / torch.where(level, 1.0, change)
    )
    return length * mean


def _laplace(x: Tensor) -> Tensor:
    """Ψ(-x) for scale 1."""
    tail = 0.5 * torch.exp(-x.abs())
    return torch.where(x > 0.0, tail, 1.0 - tail)


def _laplace_integral(x: Tensor) -> Tensor:
    """An integral of `_laplace`."""
    return 0.5 * (x - x.abs() - torch.exp(-x.abs()))


class Composite(NamedTuple):
    """What becomes of light along rays.

    Attributes:
        weights: share of each section in what is seen.
        alpha: their sum, the opacity.
        logit: of the opacity, exact also where it is next to 0 or 1.
    """

    weights: Float[Tensor, "n k"]
    alpha: Float[Tensor, " n"]
    logit: Float[Tensor, " n"]


def composite(depths: Float[Tensor, "n k"]) -> Composite:
    """Return the weights of sections, from the nearest to the farthest, given their optical depths."""
    total = depths.sum(dim=1).clamp_min(_LEAST)
    hidden = functional.pad(depths.cumsum(dim=1)[:, :-1], (1, 0))
    opaque = -torch.expm1(-total)
    return Composite(torch.exp(-hidden) * -torch.expm1(-depths), opaque, total + opaque.log())
