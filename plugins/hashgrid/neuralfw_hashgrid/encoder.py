"""Features of a point from a pyramid of grids whose vertices share a table (Müller et al. 2022, arXiv 2201.05989)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuralfw.components import Build, Encoder

from . import backends
from .config import HashGridConfig
from .grid import Grid


class HashGrid(Encoder):
    """[x, features of level 0, of level 1, …], each interpolated between the vertices of the cell that x lies in.

    With `dimensions = 4` the last coordinate is time, an axis like the others but for its `time_span`; it is not among
    the features. Coordinates are clamped to [-size, size] before they are looked up, so outside the features are
    constant along the clamped axes and their derivative there is 0. With `active_levels` each level fades in along half
    a cosine (Park et al. 2021, arXiv 2011.12948, eq. 8); those that have not begun are not computed.

    Attributes:
        table: features of all vertices (entries, features), level after level as in tiny-cuda-nn.
        backend: who computes: cpu, torch or tinycudann.
        backend_reason: why.
    """

    table: nn.Parameter
    _scale: Tensor
    _shift: Tensor

    def __init__(self, config: HashGridConfig, build: Build) -> None:
        super().__init__(config, build)
        self._grid = Grid.of(config)
        self._active = config.active_levels
        axes = torch.tensor([[0.5 / config.size, 0.5]] * 3 + [[config.time_span, 0.0]] * (config.dimensions - 3))
        self.register_buffer("_scale", axes[:, 0], persistent=False)
        self.register_buffer("_shift", axes[:, 1], persistent=False)
        self.backend, self.backend_reason = backends.choose(
            config.backend, build.device, config.dimensions, config.levels * config.features
        )
        drawn = torch.rand(self._grid.entries, config.features, generator=build.generator)
        self.table = nn.Parameter((2.0 * drawn - 1.0) * 1e-4)
        self.coordinates = 3 if config.include_input else 0
        self.out_dim = self.coordinates + config.levels * config.features

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n features"]:
        grid, weights = self._open()
        features = backends.load(self.backend).encode(grid, self._unit(x), self.table)
        if weights is not None:
            features = nn.functional.pad(features * weights, (0, self.out_dim - self.coordinates - len(weights)))
        return torch.cat([x[:, :3], features], dim=1) if self.coordinates else features

    def pullback(self, x: Float[Tensor, "n d"], g: Float[Tensor, "n features"]) -> Float[Tensor, "n d"]:
        grid, weights = self._open()
        own = g[:, self.coordinates :]
        if weights is not None:
            own = own[:, : len(weights)] * weights
        through = backends.load(self.backend).pullback(grid, self._unit(x), self.table, own)
        place = self._place(x)
        through = through * ((place >= 0.0) & (place <= 1.0)) * self._scale
        return torch.cat([through[:, :3] + g[:, :3], through[:, 3:]], dim=1) if self.coordinates else through

    def _unit(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        return self._place(x).clamp(0.0, 1.0)

    def _place(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Where points lie, the grids' cube being that from 0 to 1."""
        return x * self._scale + self._shift

    def _open(self) -> tuple[Grid, Float[Tensor, " features"] | None]:
        """The levels that have begun to fade in, at least one, and the weight of each of their features."""
        if self._active is None:
            return self._grid, None
        active = self.now(self._active)
        faded = (active - torch.arange(len(self._grid.levels))).clamp(0.0, 1.0)
        grid = self._grid.coarsest(max(1, math.ceil(active)))
        weights = 0.5 * (1.0 - torch.cos(math.pi * faded[: len(grid.levels)]))
        return grid, weights.repeat_interleave(grid.features).to(self.table)
