"""Random Fourier features (Tancik et al. 2020, arXiv 2006.10739, §4)."""

import torch
from jaxtyping import Float
from torch import Tensor

from neuralfw.components import Build, Encoder

from .config import GaussianFourierConfig


class GaussianFourier(Encoder):
    """[x, sin(Bx), cos(Bx)], the entries of B drawn from N(0, scale²) and kept."""

    directions: Tensor

    def __init__(self, config: GaussianFourierConfig, build: Build) -> None:
        super().__init__(config, build)
        drawn = torch.randn(config.features, 3, generator=build.generator) * config.scale
        self.register_buffer("directions", drawn)
        self.coordinates = 3
        self.out_dim = 3 + 2 * config.features

    def forward(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, "n features"]:
        angles = x @ self.directions.T
        return torch.cat([x, angles.sin(), angles.cos()], dim=1)

    def pullback(self, x: Float[Tensor, "n 3"], g: Float[Tensor, "n features"]) -> Float[Tensor, "n 3"]:
        angles = x @ self.directions.T
        of_sine, of_cosine = g[:, 3:].chunk(2, dim=1)
        return g[:, :3] + (angles.cos() * of_sine - angles.sin() * of_cosine) @ self.directions
