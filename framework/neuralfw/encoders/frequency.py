"""Encoders of coordinates: as they are, or as sines and cosines of octaves."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ..components import Build, Encoder
from .config import FrequencyConfig, IdentityConfig


class Identity(Encoder):
    """The coordinates themselves."""

    def __init__(self, config: IdentityConfig, build: Build) -> None:
        super().__init__(config, build)
        self.out_dim = self.coordinates = 3

    def forward(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        return x

    def pullback(self, x: Float[Tensor, "n 3"], g: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        return g


class Frequency(Encoder):
    """[x, sin(s 2ᵏ x), cos(s 2ᵏ x)] for k = 0 … bands-1 (Mildenhall et al. 2020, arXiv 2003.08934, eq. 4).

    With `active` each octave fades in along half a cosine (Park et al. 2021, arXiv 2011.12948, eq. 8).
    """

    frequencies: Tensor

    def __init__(self, config: FrequencyConfig, build: Build) -> None:
        super().__init__(config, build)
        self.register_buffer("frequencies", config.scale * 2.0 ** torch.arange(config.bands), persistent=False)
        self._active = config.active
        self.coordinates = 3 if config.include_input else 0
        self.out_dim = self.coordinates + 6 * config.bands

    def _weights(self) -> Float[Tensor, "bands 1"] | float:
        if self._active is None:
            return 1.0
        octave = torch.arange(len(self.frequencies), device=self.frequencies.device)
        faded = (self.now(self._active) - octave).clamp(0.0, 1.0)
        return (0.5 * (1.0 - torch.cos(math.pi * faded)))[:, None].to(self.frequencies.dtype)

    def _waves(self, x: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, "n bands 3"], Float[Tensor, "n bands 3"]]:
        angles = x[:, None, :] * self.frequencies[:, None]
        return angles.sin() * self._weights(), angles.cos() * self._weights()

    def forward(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, "n features"]:
        sine, cosine = self._waves(x)
        waves = torch.stack([sine, cosine], dim=2).flatten(1)
        return torch.cat([x, waves], dim=1) if self.coordinates else waves

    def pullback(self, x: Float[Tensor, "n 3"], g: Float[Tensor, "n features"]) -> Float[Tensor, "n 3"]:
        sine, cosine = self._waves(x)
        waves = g[:, self.coordinates :].unflatten(1, (len(self.frequencies), 2, 3))
        through: Tensor = (self.frequencies[:, None] * (cosine * waves[:, :, 0] - sine * waves[:, :, 1])).sum(dim=1)
        return through + g[:, :3] if self.coordinates else through
