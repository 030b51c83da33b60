"""IDR's losses of rays (Yariv et al. 2020, arXiv 2003.09852, §3.4)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from neuralfw.components import Build, Loss, Quantities

from .config import MaskBceConfig, RgbL1Config

_LEAST = 1e-3
"""An opacity without a logit is kept so far from 0 and 1, as NeuS does."""


class RgbL1(Loss):
    """1/|S| Σ |c - I|₁ over the rays of the object that meet the surface (eq. 8), colours in [-1, 1]; S all rays.

    A renderer that says nothing of hits counts all rays of the object; without masks every ray is the object's.
    """

    def __init__(self, config: RgbL1Config, build: Build) -> None:
        super().__init__(config, build)
        self._per_hit = config.reduction == "hits"

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        difference = 2.0 * (outputs["rgb"] - batch["rgb"]).abs().sum(dim=-1)
        observed = _observed(difference, batch)
        counted = observed & outputs.get("hit", observed)
        if "mask" in batch:
            counted = counted & (batch["mask"] > 0.5)
        total = torch.where(counted, difference, torch.zeros_like(difference)).sum()
        return total / (counted if self._per_hit else observed).sum().clamp_min(1)


class MaskBce(Loss):
    """Cross-entropy of opacity and mask, mean over all rays.

    With `sphere_trace` it is α times eq. 9: rays of the object that meet the surface have opacity 1 and add nothing,
    all others σ(-α f). So a weight of 100/α beside the renderer's sharpness α is IDR's mask term of weight 100.
    """

    def __init__(self, config: MaskBceConfig, build: Build) -> None:
        super().__init__(config, build)

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        target = (batch["mask"] > 0.5).to(outputs["alpha"].dtype)
        if "alpha_logit" in outputs:
            losses = functional.binary_cross_entropy_with_logits(outputs["alpha_logit"], target, reduction="none")
        else:
            alpha = outputs["alpha"].clamp(_LEAST, 1.0 - _LEAST)
            losses = -torch.where(target > 0.5, alpha.log(), (1.0 - alpha).log())
        observed = _observed(losses, batch)
        return torch.where(observed, losses, torch.zeros_like(losses)).sum() / observed.sum().clamp_min(1)


def _observed(values: Float[Tensor, "*pixels"], batch: Quantities) -> Bool[Tensor, "*pixels"]:
    return batch["valid"] if "valid" in batch else torch.ones_like(values, dtype=torch.bool)
