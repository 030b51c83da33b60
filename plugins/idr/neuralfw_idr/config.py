"""Options of the plugin's losses. Imports no torch."""

from __future__ import annotations

from typing import Literal

from neuralfw.config import ComponentConfig, Option, Wiring

Reduction = Literal["all_rays", "hits"]


class RgbL1Config(ComponentConfig):
    """Options of `rgb_l1`."""

    reduction: Reduction = Option(
        "all_rays", description="the sum over the object's rays that meet the surface, per ray drawn or per such ray"
    )

    def wiring(self) -> Wiring:
        return Wiring(needs=("rgb", "hit?"), observes=("rgb", "mask?", "valid?"))


class MaskBceConfig(ComponentConfig):
    """Options of `mask_bce`: none."""

    def wiring(self) -> Wiring:
        return Wiring(needs=("alpha", "alpha_logit?"), observes=("mask", "valid?"))
