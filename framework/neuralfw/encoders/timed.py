"""Encoders of points and times, made of an encoder of points."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..components import Build, Encoder
from ..moments import blended
from .config import KeyframesConfig, TimeFeaturesConfig


class TimeFeatures(Encoder):
    """[features of x, sin(ω_0 t), cos(ω_0 t), sin(ω_1 t), …]: one encoder of points for all times.

    ω_k = π 2ᵏ, or with `form = "transformer"` and 32 bands the 10000^(-k/32) of N4DE (arXiv 2411.15018).
    """

    frequencies: Tensor

    def __init__(self, config: TimeFeaturesConfig, build: Build) -> None:
        super().__init__(config, build)
        self.space: Encoder = build.component(config.space)
        band = torch.arange(config.bands, dtype=torch.get_default_dtype())
        frequencies = math.pi * 2.0**band if config.form == "octaves" else 10000.0 ** (-band / config.bands)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.coordinates = self.space.coordinates
        self.out_dim = self.space.out_dim + 2 * config.bands

    def forward(self, x: Float[Tensor, "n 4"]) -> Float[Tensor, "n features"]:
        angles = x[:, 3:] * self.frequencies
        return torch.cat([self.space(x[:, :3]), torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)], dim=1)

    def pullback(self, x: Float[Tensor, "n 4"], g: Float[Tensor, "n features"]) -> Float[Tensor, "n 4"]:
        angles = x[:, 3:] * self.frequencies
        own = g[:, self.space.out_dim :].unflatten(1, (-1, 2))
        rate = (self.frequencies * (own[..., 0] * angles.cos() - own[..., 1] * angles.sin())).sum(dim=1)
        return torch.cat([self.space.pullback(x[:, :3], g[:, : self.space.out_dim]), rate[:, None]], dim=1)


class Keyframes(Encoder):
    """Σ w_k(t) e_k(x): an encoder of points for each of some moments, and their features interpolated in between.

    All e_k begin alike. At a moment only its own is computed, as in a scene that does not move; in between, two of
    them, or four for cubic interpolation. Times beyond [0, 1] have the features of the ends.
    """

    def __init__(self, config: KeyframesConfig, build: Build) -> None:
        super().__init__(config, build)
        self.frames = nn.ModuleList([build.component(config.space) for _ in range(config.frames)])
        self._cubic = config.interpolation == "cubic"
        self.coordinates = self._frame(0).coordinates
        self.out_dim = self._frame(0).out_dim

    def forward(self, x: Float[Tensor, "n 4"]) -> Float[Tensor, "n features"]:
        blend = blended(x[:, 3], len(self.frames), cubic=self._cubic)
        out = x.new_zeros(len(x), self.out_dim)
        for k, shown in self._shown(blend.weights):
            out = _add(out, shown, blend.weights[shown, k, None] * self._frame(k)(x[shown, :3]))
        return out

    def pullback(self, x: Float[Tensor, "n 4"], g: Float[Tensor, "n features"]) -> Float[Tensor, "n 4"]:
        blend = blended(x[:, 3], len(self.frames), cubic=self._cubic)
        out = x.new_zeros(len(x), 4)
        for k, shown in self._shown(blend.weights.abs() + blend.rates.abs()):
            at, own = x[shown, :3], g[shown]
            along = blend.weights[shown, k, None] * self._frame(k).pullback(at, own)
            rate = blend.rates[shown, k] * (own * self._frame(k)(at)).sum(dim=1)
            out = _add(out, shown, torch.cat([along, rate[:, None]], dim=1))
        return out

    def _frame(self, k: int) -> Encoder:
        return self.frames[k]  # type: ignore[return-value]

    def _shown(self, weights: Float[Tensor, "n frames"]) -> list[tuple[int, Bool[Tensor, " n"]]]:
        """Return the frames of which some points have a part, with these points."""
        shown = weights.detach() != 0.0
        return [(k, shown[:, k]) for k in shown.any(dim=0).nonzero().flatten().tolist()]


def _add(out: Float[Tensor, "n c"], rows: Bool[Tensor, " n"], values: Float[Tensor, "m c"]) -> Float[Tensor, "n c"]:
    """Return the sum, with a graph."""
    return out.index_add(0, rows.nonzero().flatten(), values)
