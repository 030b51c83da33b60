"""Lays Gaussians on the surface of an SDF."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from neuralfw.components import Build
from neuralfw.geometry import Mesh
from neuralfw.geometry.mesh import sample_surface

from .config import OnSurfaceConfig
from .densify import OnGaussians
from .neighbors import mean_squared_distance

FLATNESS = 0.1
"""How thick the disks are, as a share of their radius."""


class OnSurface(OnGaussians):
    """Lays all Gaussians, as disks, evenly on the zero level set of an SDF; colours and opacities stay.

    Give it `at = "start"`, in a stage after that which trained the SDF. Running means start afresh.
    """

    def __init__(self, config: OnSurfaceConfig, build: Build) -> None:
        super().__init__(config, build)
        self._sdf, self._mesher = config.sdf, build.component(config.mesher)

    @torch.no_grad()
    def __call__(self, ctx: Any) -> None:
        field = self.gaussians(ctx)
        everyone = torch.arange(len(field.means), device=field.means.device)
        surface = self._mesher(ctx.scene.view({"sdf": self._sdf}))
        seed = int(torch.randint(2**62, (1,), generator=ctx.generator("on_surface")))
        mesh = Mesh(surface.vertices, surface.faces)
        drawn = sample_surface(mesh, len(everyone), np.random.default_rng(seed))
        points, normals = (torch.from_numpy(x).to(field.means) for x in drawn)
        ctx.surgery.edit(self._field, everyone[:0], everyone)
        field.means.copy_(points)
        radii = mean_squared_distance(points).clamp_min(1e-7).sqrt()[:, None]
        field.log_scales.copy_((radii * radii.new_tensor([1.0, 1.0, FLATNESS])).log())
        field.quaternions.copy_(turning_z_to(normals))


def turning_z_to(normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 4"]:
    """Return unit quaternions (w, x, y, z) that turn the z axis into unit normals or, below the horizon, opposite."""
    x, y, z = torch.where(normals[:, 2:] < 0.0, -normals, normals).unbind(dim=1)
    return torch.nn.functional.normalize(torch.stack([1.0 + z, -y, x, torch.zeros_like(z)], dim=1), dim=1)
