"""What a distance over time should be like, and where a surface is to be taken by hand."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from neuralfw.components import Build, Loss, Quantities
from neuralfw.losses.sdf import mean, power
from neuralfw_mesh.shape_losses import face_vectors

from .config import HandleConfig, TimeSmoothnessConfig


class TimeSmoothness(Loss):
    """The mean of |∂f/∂t|, or of its square: N4DE's temporal consistency (Razlighi et al. 2024, arXiv 2411.15018)."""

    def __init__(self, config: TimeSmoothnessConfig, build: Build) -> None:
        super().__init__(config, build)
        self._power = config.power

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        return mean(power(outputs["sdf_time_derivative"], self._power))


class Handle(Loss):
    """Takes hold of a surface at a place and carries it along: editing, as a flow (NIE: Mehta et al. 2022).

    V(x) = (1 - r²/R²)² v within the radius R of where the handle is now, 0 beyond. The value is -∫ V·x over the surface
    with all but x held, so that its flow per area is V, however the surface is meshed. With `dt = 1 / steps` of
    `level_set` handle and surface go the whole way `move` over the stage; several of them add up.
    """

    def __init__(self, config: HandleConfig, build: Build) -> None:
        super().__init__(config, build)
        frame = build.scene.frame
        begin, end = frame.to_training(np.array([config.at, np.add(config.at, config.move)]))
        self._begin, self._move = torch.from_numpy(begin).float(), torch.from_numpy(end - begin).float()
        self._radius, self._progress = config.radius * frame.scale, config.progress

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        vertices, faces = outputs["vertices"], outputs["faces"]
        x = vertices.detach()
        area = face_vectors(x, faces).norm(dim=1) / 3.0
        mass = x.new_zeros(len(x)).index_add(0, faces.flatten(), area.repeat_interleave(3))
        move = self._move.to(x)
        nearness = 1.0 - ((x - self._begin.to(x) - self.now(self._progress) * move) / self._radius).square().sum(dim=1)
        weight = mass * nearness.clamp_min(0.0).square()
        return -(weight[:, None] * move * vertices).sum()
