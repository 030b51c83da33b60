"""What shows behind the scene where photographs have no masks."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuralfw.nn.mlp import Mlp

_BANDS = 4


class LightField(nn.Module):
    """The colour of a line of space: an MLP of its direction and of its point nearest to the origin.

    All that lies beyond the bounds of the scene is seen only along such lines, so that no geometry of it is needed;
    rays that miss the bounds are lines as others are.
    """

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        inputs = 6 * (1 + 2 * _BANDS)
        self.mlp = Mlp(inputs, 3, width=64, layers=3, activation="relu", generator=generator)

    def forward(self, origins: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Return colours in [0, 1] of lines through origins in unit directions."""
        nearest = origins - (origins * directions).sum(dim=1, keepdim=True) * directions
        line = torch.cat([directions, nearest / (1.0 + nearest.norm(dim=1, keepdim=True))], dim=1)
        waves = [wave(2.0**band * line) for band in range(_BANDS) for wave in (torch.sin, torch.cos)]
        return torch.sigmoid(self.mlp(torch.cat([line, *waves], dim=1)))
