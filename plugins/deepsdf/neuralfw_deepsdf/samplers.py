"""Samples of one cloud: moved along its normals, and before its points as a sensor saw them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from neuralfw.components import Build, Data, Draw, Quantities
from neuralfw.data.batches import Epochs
from neuralfw.data.points import surface_points
from neuralfw.errors import UserError

from .config import AlongNormalsConfig, FreeSpaceConfig


class AlongNormals(Data):
    """Points moved off the surface along their normals, labelled with how far.

    `scalar` draws ε ~ N(0, std²) for a sample p + ε n with the label ε. `componentwise` draws one ε for each component
    and takes d = (ε₁n₁, ε₂n₂, ε₃n₃), which is oblique, with the label |d| sign(d·n). The sets are those of the points.
    """

    def __init__(self, config: AlongNormalsConfig, build: Build) -> None:
        super().__init__(config, build)
        self._config = config
        self._sets = {name: _oriented(build, config.data, name) for name in ("train", "val")}
        counts = {name: len(points) * config.per_point for name, (points, _) in self._sets.items()}
        self._epochs = {name: Epochs(count) for name, count in counts.items()}
        self._kept = {} if config.fresh else {n: self._noise(count, build.generator) for n, count in counts.items()}

    def holds(self, set_name: str) -> bool:
        return set_name in self._sets and len(self._sets[set_name][0]) > 0

    def batches(self, set_name: str, draw: Any) -> int:
        return self._epochs[set_name or "train"].batches(self._config.batch)

    def sample(self, request: Draw) -> Quantities:
        name = request.set or "train"
        if not self.holds(name):
            raise UserError(f"data {self._config.data!r} keeps no points for {name}: set its holdout above 0")
        chosen = self._epochs[name].draw(request, self._config.batch)
        points, normals = (rows[chosen // self._config.per_point] for rows in self._sets[name])
        noise = self._noise(len(chosen), request.generator) if self._config.fresh else self._kept[name][chosen]
        offsets = noise * normals
        sdf = noise[:, 0] if self._config.mode == "scalar" else _signed_length(offsets, normals)
        return {"points": points + offsets, "sdf": sdf, "index": torch.zeros(len(chosen), dtype=torch.long)}

    def _noise(self, count: int, generator: torch.Generator) -> Float[Tensor, "n components"]:
        components = 1 if self._config.mode == "scalar" else 3
        return torch.randn(count, components, generator=generator) * self._config.std


def _oriented(build: Build, data: str, name: str) -> tuple[Float[Tensor, "m 3"], Float[Tensor, "m 3"]]:
    cloud = surface_points(build, data)
    normals = cloud.normals_of(name)
    if normals is None:
        raise UserError(f'{build.place} needs normals, but data {data!r} has normals = "none"')
    return cloud.items(name), normals


def _signed_length(offsets: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
    length: Float[Tensor, " n"] = offsets.norm(dim=1)
    return length * (offsets * normals).sum(dim=1).sign()


class FreeSpace(Data):
    """Samples on the rays from the points to where they were seen from: space known to be empty.

    Park et al. 2019, arXiv 1901.05103, §6.4, use it to complete shapes from one depth image.
    """

    def __init__(self, config: FreeSpaceConfig, build: Build) -> None:
        super().__init__(config, build)
        self._config = config
        self._points = surface_points(build, config.data).points
        self._sensor = self._place(config, build)

    @staticmethod
    def _place(config: FreeSpaceConfig, build: Build) -> Float[Tensor, "3"]:
        cloud = surface_points(build, config.data)
        if config.sensor is not None:
            return torch.from_numpy(cloud.frame.to_training(np.array(config.sensor))).float()
        if cloud.viewpoint is None:
            raise UserError(f"{build.place}: the file does not say where its points were seen from: give sensor")
        return cloud.viewpoint

    def batches(self, set_name: str, draw: Any) -> int:
        return max(1, round(len(self._points) / self._config.batch))

    def sample(self, request: Draw) -> Quantities:
        count, generator = self._config.batch, request.generator
        points = self._points[torch.randint(len(self._points), (count,), generator=generator)]
        ray = self._sensor - points
        length = ray.norm(dim=1, keepdim=True).clamp_min(1e-12)
        share = torch.rand(count, 1, generator=generator) * (self._config.reach / length).clamp_max(1.0)
        return {"points": points + share * ray, "index": torch.zeros(count, dtype=torch.long)}
