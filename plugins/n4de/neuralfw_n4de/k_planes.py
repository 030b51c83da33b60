"""Features of points and times from planes: K-Planes (Fridovich-Keil et al. 2023, arXiv 2301.10241) and HexPlane (Cao
and Johnson 2023, arXiv 2301.09632)."""

from __future__ import annotations

from itertools import accumulate
from operator import mul
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuralfw.components import Build, Encoder

from .config import KPlanesConfig

PLANES = ((0, 1), (0, 2), (1, 2), (2, 3), (1, 3), (0, 3))
"""Axes of each plane, x y z t being 0 1 2 3; those with time last, the opposite ones in the same order."""

_PRODUCTS = {"all": ((0, 1, 2, 3, 4, 5),), "opposite": ((0, 3), (1, 4), (2, 5))}


class Patch(NamedTuple):
    """A plane's features at points.

    Attributes:
        value: interpolated bilinearly.
        first, second: derivatives along the plane's axes, per cell.
    """

    value: Float[Tensor, "n f"]
    first: Float[Tensor, "n f"]
    second: Float[Tensor, "n f"]


class KPlanes(Encoder):
    """[x, products of the planes of level 0, of level 1, …]; the features of a plane are interpolated bilinearly.

    Planes with time begin as 1, so that nothing moves at first; the others uniform in [0.1, 0.5].
    """

    def __init__(self, config: KPlanesConfig, build: Build) -> None:
        super().__init__(config, build)
        self._products = _PRODUCTS[config.product]
        self._shapes = [
            [tuple(config.frames if axis == 3 else config.base * 2**level for axis in axes) for axes in PLANES]
            for level in range(config.levels)
        ]
        self.planes = nn.ParameterList()
        for shapes in self._shapes:
            for axes, (rows, columns) in zip(PLANES, shapes, strict=True):
                drawn = 0.1 + 0.4 * torch.rand(rows * columns, config.features, generator=build.generator)
                self.planes.append(nn.Parameter(torch.ones_like(drawn) if 3 in axes else drawn))
        self._size, self._features = config.size, config.features
        self.coordinates = 3 if config.include_input else 0
        self.out_dim = self.coordinates + config.levels * len(self._products) * config.features

    def forward(self, x: Float[Tensor, "n 4"]) -> Float[Tensor, "n features"]:
        u = self._unit(x)
        parts = [x[:, : self.coordinates]]
        for level in range(len(self._shapes)):
            values = [patch.value for patch in self._patches(u, level)]
            parts += [[*accumulate((values[k] for k in planes), mul)][-1] for planes in self._products]
        return torch.cat(parts, dim=1)

    def pullback(self, x: Float[Tensor, "n 4"], g: Float[Tensor, "n features"]) -> Float[Tensor, "n 4"]:
        u = self._unit(x)
        own = g[:, self.coordinates :].unflatten(1, (len(self._shapes), len(self._products), self._features))
        axes: list[Tensor] = [x.new_zeros(len(x)) for _ in range(4)]
        for level, shapes in enumerate(self._shapes):
            patches = self._patches(u, level)
            for place, planes in enumerate(self._products):
                for k, others in zip(planes, _without_each([patches[k].value for k in planes]), strict=True):
                    weight = own[:, level, place] * others
                    for axis, cells, slope in zip(PLANES[k], shapes[k], patches[k][1:], strict=True):
                        axes[axis] = axes[axis] + (cells - 1) * (weight * slope).sum(dim=1)
        inside = (x[:, :3].abs() <= self._size) / (2.0 * self._size)
        moment = (x[:, 3:] >= 0.0) & (x[:, 3:] <= 1.0)
        through = torch.stack(axes, dim=1) * torch.cat([inside, moment.to(inside)], dim=1)
        return torch.cat([through[:, :3] + g[:, :3], through[:, 3:]], dim=1) if self.coordinates else through

    def _unit(self, x: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
        return torch.cat([(x[:, :3] / self._size + 1.0) / 2.0, x[:, 3:]], dim=1).clamp(0.0, 1.0)

    def _patches(self, u: Float[Tensor, "n 4"], level: int) -> list[Patch]:
        tables = [*self.planes][level * len(PLANES) : (level + 1) * len(PLANES)]
        return [
            _patch(table, shape, u[:, a], u[:, b])
            for table, shape, (a, b) in zip(tables, self._shapes[level], PLANES, strict=True)
        ]


def _patch(
    table: Float[Tensor, "entries f"], shape: tuple[int, ...], a: Float[Tensor, " n"], b: Float[Tensor, " n"]
) -> Patch:
    """Return the features at points of the unit square."""
    rows, columns = shape
    y, x = a * (rows - 1), b * (columns - 1)
    i, j = y.detach().floor().clamp(max=rows - 2), x.detach().floor().clamp(max=columns - 2)
    f, e = (y - i)[:, None], (x - j)[:, None]
    at = (i * columns + j).long()
    q = table.index_select(0, torch.cat([at, at + 1, at + columns, at + columns + 1])).unflatten(0, (4, len(a)))
    top, bottom = q[0] + e * (q[1] - q[0]), q[2] + e * (q[3] - q[2])
    left, right = q[0] + f * (q[2] - q[0]), q[1] + f * (q[3] - q[1])
    return Patch(top + f * (bottom - top), bottom - top, right - left)


def _without_each(factors: list[Tensor]) -> list[Tensor]:
    """Return the product of all factors but one, for each of them."""
    one = torch.ones_like(factors[0])
    before = [*accumulate(factors[:-1], mul, initial=one)]
    after = [*accumulate(factors[:0:-1], mul, initial=one)][::-1]
    return [left * right for left, right in zip(before, after, strict=True)]
