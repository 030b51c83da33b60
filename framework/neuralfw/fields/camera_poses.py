"""Camera poses that are learnt beside the scene: one row for each photograph."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from ..components import Build, Field, Quantities
from ..geometry.rotation import matrix_of_quaternion, matrix_of_vector, quaternion_of_matrix
from ..metrics.cameras import disturbed
from .appearance_config import CameraPosesConfig


class CameraPoses(Field):
    """Rotation and centre of each camera (Yariv et al. 2020, arXiv 2003.09852, §3.1); a step moves only what it saw.

    In form `absolute` the parameters are `quaternions` (v, 4), camera to world, and `centers` (v, 3). In form
    `increment` they stand on the start: `turns` (v, 3), rotation vectors of each camera about itself, along its axes;
    and `orbits` (v, 3), where it is seen from the origin: angles about its x and y axes, and the logarithm of the
    distance. Photographs tell turns at once and orbits by parallax alone, in which turning and moving aside, that look
    alike, are one; so each of them has its own pace.

    Attributes:
        start: (v, 4, 4) poses that were started from, world to camera, training space.
    """

    role = "cameras"
    start: Float[Tensor, "v 4 4"]

    def __init__(self, config: CameraPosesConfig, build: Build) -> None:
        super().__init__(config, build)
        data = build.scene.data.get(config.data)
        poses = np.eye(4)[None] if data is None else np.stack([c.world_to_camera for c in data.cameras])  # type: ignore[attr-defined]
        if config.rotation_noise or config.center_noise:
            seed = int(torch.randint(2**62, (), generator=build.generator))
            random = np.random.default_rng(seed)
            poses = disturbed(poses, config.rotation_noise, config.center_noise, random)
        start = torch.from_numpy(poses).to(torch.get_default_dtype())
        self.register_buffer("start", start)
        self._absolute = config.form == "absolute"
        if self._absolute:
            turned = torch.from_numpy(poses[:, :3, :3]).transpose(1, 2)
            centers = -(turned @ torch.from_numpy(poses[:, :3, 3:]))[..., 0]
            self.quaternions = nn.Parameter(quaternion_of_matrix(turned).to(start.dtype))
            self.centers = nn.Parameter(centers.to(start.dtype))
        else:
            self.turns = nn.Parameter(torch.zeros(len(poses), 3))
            self.orbits = nn.Parameter(torch.zeros(len(poses), 3))

    def forward(self, view: Int[Tensor, " n"]) -> Float[Tensor, "n 4 4"]:
        """Return the poses of views, world to camera; gradients reach only the rows of these."""
        views, place = view.unique(return_inverse=True)
        if self._absolute:
            rotation = matrix_of_quaternion(_rows(self.quaternions, views)).transpose(1, 2)
            translation = -(rotation @ _rows(self.centers, views)[..., None])
        else:
            start, turn = self.start[views], matrix_of_vector(_rows(self.turns, views))
            orbit, stretch = _rows(self.orbits, views).split([2, 1], dim=1)
            rotation = turn @ matrix_of_vector(functional.pad(orbit, (0, 1))) @ start[:, :3, :3]
            translation = turn @ (start[:, :3, 3:] * stretch.exp()[..., None])
        upper = torch.cat([rotation, translation], dim=2)
        last = upper.new_tensor([[[0.0, 0.0, 0.0, 1.0]]]).expand(len(views), 1, 4)
        poses: Tensor = torch.cat([upper, last], dim=1)[place]
        return poses

    def evaluate(self, inputs: Mapping[str, Tensor], want: frozenset[str]) -> Quantities:
        return {"world_to_camera": self(inputs["view"])}


def _rows(table: nn.Parameter, index: Int[Tensor, " n"]) -> Float[Tensor, "n k"]:
    return functional.embedding(index, table, sparse=True)
