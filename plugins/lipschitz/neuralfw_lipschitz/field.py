"""An SDF whose network varies no faster than a learnt bound."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor

from neuralfw.components import Build, Quantities
from neuralfw.fields.mlp_sdf import MlpSdf

from .config import LOG_BOUND, LipschitzSdfConfig
from .layer import LipschitzLinear, log_bound


class LipschitzSdf(MlpSdf):
    """`mlp_sdf` of `LipschitzLinear` layers; it also gives the logarithm of its network's Lipschitz bound.

    The bound is one of the network: in time and latent code as they are, in space in the encoder's features, and
    without the sphere that networks of sine, tanh and silu may stand on.
    """

    def __init__(self, config: LipschitzSdfConfig, build: Build) -> None:
        super().__init__(config, build, partial(LipschitzLinear, norm=config.norm, bound=config.bound))
        self._norm = config.norm

    def evaluate(self, inputs: Mapping[str, Tensor], want: frozenset[str]) -> Quantities:
        elsewhere = want - {LOG_BOUND}
        found = super().evaluate(inputs, elsewhere) if elsewhere else {}
        return {**found, LOG_BOUND: log_bound(self.mlp, self._norm)} if LOG_BOUND in want else found
