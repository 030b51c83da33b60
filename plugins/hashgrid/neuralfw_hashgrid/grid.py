"""Where the features of a multiresolution hash grid lie in their table (Müller et al. 2022, arXiv 2201.05989, §3)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from .config import HashGridConfig

PRIMES = (1, 2654435761, 805459861, 3674653429)
"""Multipliers of the hash of a vertex (x, y, z, t), eq. 4; the last one is tiny-cuda-nn's."""

_ROUNDING = 1e-6
"""A resolution that is a whole number but for the rounding of the power is that number."""


@dataclass(frozen=True)
class Level:
    """One grid over the unit cube of three or four dimensions: vertex i of an axis lies at (i - ½)/scale.

    Attributes:
        scale: cells along an axis, a fraction.
        resolution: vertices along an axis.
        entries: rows of the table that belong to it.
        offset: the first of them.
        dimensions: axes of the grid.
    """

    scale: float
    resolution: int
    entries: int
    offset: int
    dimensions: int = 3

    @property
    def hashed(self) -> bool:
        """Whether vertices share rows; the others have one each."""
        return bool(self.entries < self.resolution**self.dimensions)


@dataclass(frozen=True)
class Grid:
    """All levels, from coarse to fine, as tiny-cuda-nn lays them out.

    Attributes:
        levels: the grids.
        features: columns of the table.
        base, growth: vertices along an axis of the coarsest grid, and the ratio of neighbouring resolutions.
        log2_table_size: logarithm of the most entries that a level has.
        smooth: whether interpolation is by f²(3-2f) instead of f.
        dimensions: axes of the grids.
    """

    levels: tuple[Level, ...]
    features: int
    base: int
    growth: float
    log2_table_size: int
    smooth: bool
    dimensions: int = 3

    @classmethod
    def of(cls, config: HashGridConfig) -> Grid:
        """Return the grid that the options describe."""
        steps = max(config.levels - 1, 1)
        growth = config.growth or math.exp(math.log(config.finest / config.base) / steps)
        levels: list[Level] = []
        for k in range(config.levels):
            scale = config.base * growth**k - 1.0
            resolution = math.ceil(scale * (1.0 - _ROUNDING)) + 1
            entries = min(-(-(resolution**config.dimensions) // 8) * 8, 2**config.log2_table_size)
            levels.append(Level(scale, resolution, entries, sum(level.entries for level in levels), config.dimensions))
        smooth = config.interpolation == "smoothstep"
        return cls(
            tuple(levels), config.features, config.base, growth, config.log2_table_size, smooth, config.dimensions
        )

    @property
    def entries(self) -> int:
        """Rows of the table."""
        return self.levels[-1].offset + self.levels[-1].entries

    def coarsest(self, count: int) -> Grid:
        """Return the grid of the first levels alone, in the same table."""
        return replace(self, levels=self.levels[:count])
