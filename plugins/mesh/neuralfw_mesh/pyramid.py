"""Images compared at several sizes (Mehta et al. 2022, arXiv 2204.07159)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, pad

from neuralfw.components import Build, Loss, Quantities

from .config import PyramidConfig


class Pyramid(Loss):
    """Mean squared differences of the images at full size and, divided by j, of those reduced j times.

    An image is reduced by the binomial filter of five taps and by leaving out every other pixel: a silhouette is then
    felt from farther off. Colours and, where there is a mask, opacity each count as a mean over their channels.
    """

    def __init__(self, config: PyramidConfig, build: Build) -> None:
        super().__init__(config, build)
        self._levels, self._alpha = config.levels, config.alpha

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        parts = [outputs["rgb"] - batch["rgb"]]
        if self._alpha and "mask" in batch:
            parts.append((outputs["alpha"] - batch["mask"])[..., None])
        image = torch.cat(parts, dim=-1).movedim(-1, 1)
        weight = torch.cat([image.new_full((p.shape[-1],), 1.0 / p.shape[-1]) for p in parts])
        total = image.new_zeros(())
        for level in range(self._levels):
            if level:
                if min(image.shape[2:]) < 3:
                    break
                image = halved(image)
            pixels = max(1, image[:, 0].numel())
            total = total + (image.square().sum(dim=(0, 2, 3)) @ weight) / (pixels * max(1, level))
        return total


def halved(image: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c half_h half_w"]:
    """Return an image blurred by (1 4 6 4 1) / 16 along both axes, every other pixel of it."""
    channels = image.shape[1]
    taps = image.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0
    kernel = torch.outer(taps, taps).expand(channels, 1, 5, 5)
    return conv2d(pad(image, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=channels)
