"""The Lipschitz regulariser."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from neuralfw.components import Build, Loss, Quantities

from .config import LOG_BOUND, LipschitzConfig


class Lipschitz(Loss):
    """The Lipschitz bound of a network is small: its logarithm Σ log k where that is above 0, or Π k.

    The product is that of Liu et al. 2022, arXiv 2202.08345, eq. 6. Of the logarithm every layer feels the same
    relative pull, however many there are and however wide; it ends at a bound of 1, which every distance needs.
    """

    def __init__(self, config: LipschitzConfig, build: Build) -> None:
        super().__init__(config, build)
        self._form = config.form

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        value = outputs[LOG_BOUND]
        return value.relu() if self._form == "log" else value.exp()
