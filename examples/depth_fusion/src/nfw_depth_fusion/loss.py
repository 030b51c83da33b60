"""What bounds say of a distance."""

import torch
from jaxtyping import Float
from torch import Tensor

from neuralfw.components import Build, Loss, Quantities

from .config import BOUND, DepthBoundsConfig


class DepthBounds(Loss):
    """|f - b| where |b| is below the truncation, else max(0, exp(-β f) - 1, f - b); mean over points, 0 of none.

    Ortiz et al. 2022 (iSDF, arXiv 2204.02296), equations 5 to 7, with the bound b to all points that were met instead
    of those of the batch. Points far behind what was met say nothing.
    """

    def __init__(self, config: DepthBoundsConfig, build: Build) -> None:
        super().__init__(config, build)
        self._options = config

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        f, bound = outputs["sdf"], batch[BOUND]
        near = (f - bound).abs()
        below = torch.expm1(-self._options.steepness * f.clamp(min=-1.0))
        free = torch.maximum(below, f - bound).clamp(min=0.0)
        weighted = torch.where(bound > 0, free, torch.zeros_like(f))
        weighted = torch.where(bound.abs() < self._options.truncation, self._options.near_weight * near, weighted)
        return weighted.sum() / max(1, f.numel())
