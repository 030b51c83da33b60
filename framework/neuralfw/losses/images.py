"""Losses of rendered images. Each is a mean over the pixels that were observed."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from ..components import Build, Loss, Quantities
from .config import L1Config, MaskL1Config
from .sdf import mean


class L1(Loss):
    """|rgb - photograph|, mean over pixels and channels; pixels that are not `valid` do not count."""

    def __init__(self, config: L1Config, build: Build) -> None:
        super().__init__(config, build)

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        return _mean_observed((outputs["rgb"] - batch["rgb"]).abs().mean(dim=-1), batch)


class MaskL1(Loss):
    """|alpha - mask|, mean over pixels: what is rendered covers the object and nothing else; 0 without a mask."""

    def __init__(self, config: MaskL1Config, build: Build) -> None:
        super().__init__(config, build)

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        if "mask" not in batch:
            return 0.0 * outputs["alpha"].sum()
        return _mean_observed((outputs["alpha"] - batch["mask"]).abs(), batch)


def _mean_observed(values: Float[Tensor, "*pixels"], batch: Quantities) -> Float[Tensor, ""]:
    return mean(values[batch["valid"]]) if "valid" in batch else mean(values)
