"""What a distance over time should be like."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from neuralfw.components import Build, Loss, Quantities
from neuralfw.losses.sdf import mean, power

from .config import TimeSmoothnessConfig


class TimeSmoothness(Loss):
    """The mean of |∂f/∂t|, or of its square: N4DE's temporal consistency (Razlighi et al. 2024, arXiv 2411.15018)."""

    def __init__(self, config: TimeSmoothnessConfig, build: Build) -> None:
        super().__init__(config, build)
        self._power = config.power

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        return mean(power(outputs["sdf_time_derivative"], self._power))
