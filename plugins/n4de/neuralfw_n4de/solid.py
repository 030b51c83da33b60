"""Solids that are known in closed form, for a field to begin as."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from neuralfw.components import Build, Data, Draw, Quantities

from .config import SolidConfig

_AXES = (1.0, 1.5, 2.0)
"""Of the ellipsoid, as the authors of N4DE have them."""


class Solid(Data):
    """Points uniform in a cube, times uniform in [0, 1], and the level of a solid there: N4DE's start as a sphere."""

    def __init__(self, config: SolidConfig, build: Build) -> None:
        super().__init__(config, build)
        self._config = config

    def batches(self, set_name: str, draw: Any) -> int:
        return 1

    def sample(self, request: Draw) -> Quantities:
        count, generator = self._config.batch, request.generator
        points = self._config.size * (2.0 * torch.rand(count, 3, generator=generator) - 1.0)
        return {"points": points, "time": torch.rand(count, generator=generator), "sdf": self._level(points)}

    def _level(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        unit = x / self._config.radius
        if self._config.shape == "cube":
            length = unit.abs().amax(dim=1)
        else:
            axes = unit.new_tensor(_AXES) if self._config.shape == "ellipsoid" else 1.0
            length = (unit / axes).norm(dim=1)
        return self._config.radius * (length - 1.0)
