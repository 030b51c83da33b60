"""The colours of a surface that moves: the rendering module of N4DE (Razlighi et al. 2024, arXiv 2411.15018)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from neuralfw.components import Build, Encoder, Field, Quantities
from neuralfw.moments import blended
from neuralfw.nn.mlp import Mlp
from neuralfw_gaussians.sh import shown

from .color_config import SurfaceColorConfig

_OPAQUE = 4.0
"""Logit of an opacity at the start: a surface lets little through."""


class Look(NamedTuple):
    """What a network says of surface points: harmonics of their colour, and what splats at them have besides."""

    sh: Float[Tensor, "n k 3"]
    opacities: Float[Tensor, " n"]
    rotations: Float[Tensor, "n 4"]


class SurfaceColor(Field):
    """Spherical harmonics of the colour, an opacity and a rotation at each point and time, by an encoder and an MLP.

    As `color` it is what the harmonics show towards the camera, for renderers of meshes and volumes; `surface_splats`
    makes Gaussians of all of it. All begin grey, opaque and upright. Positions are constants: an image's gradient does
    not pass through the texture.

    Attributes:
        takes_normals: whether `look` has to be given normals.
    """

    role = "color"

    def __init__(self, config: SurfaceColorConfig, build: Build) -> None:
        super().__init__(config, build)
        self._time, self._moments = config.time, config.moments
        self._harmonics = (config.degree + 1) ** 2
        self.takes_normals = config.normals
        self.encoder: Encoder = build.component(config.encoder)
        times = {None: 0, "raw": 1, "moments": config.moments}[config.time]
        self.mlp = Mlp(
            self.encoder.out_dim + times + 3 * config.normals,
            3 * self._harmonics + 5,
            width=config.width,
            layers=config.layers,
            activation="relu",
            generator=build.generator,
        )
        last = self.mlp.linears()[-1]
        last.assign(torch.zeros_like(last.weight), torch.zeros_like(last.bias))

    def look(
        self,
        x: Float[Tensor, "n 3"],
        t: Float[Tensor, " n"] | None = None,
        sdf_gradient: Float[Tensor, "n 3"] | None = None,
    ) -> Look:
        """Return what splats at points have, and colours are made of.

        Args:
            x: positions, scene units.
            t: times in [0, 1]; not used where the field has no time.
            sdf_gradient: along the normals; not used where the field takes none.
        """
        inputs = [self.encoder(x.detach())]
        if self._time is not None:
            assert t is not None
            inputs.append(t[:, None] if self._time == "raw" else blended(t, self._moments).weights)
        if self.takes_normals:
            assert sdf_gradient is not None
            inputs.append(normalize(sdf_gradient, dim=1))
        sh, opacity, rotation = self.mlp(torch.cat(inputs, dim=1)).split([3 * self._harmonics, 1, 4], dim=1)
        upright = rotation.new_tensor([1.0, 0.0, 0.0, 0.0])
        return Look(sh.unflatten(1, (-1, 3)), (opacity[:, 0] + _OPAQUE).sigmoid(), normalize(rotation + upright, dim=1))

    def forward(
        self,
        x: Float[Tensor, "n 3"],
        t: Float[Tensor, " n"] | None = None,
        view_direction: Float[Tensor, "n 3"] | None = None,
        sdf_gradient: Float[Tensor, "n 3"] | None = None,
    ) -> Float[Tensor, "n 3"]:
        """Return colours, at least 0, towards cameras in unit directions `view_direction` (not used in degree 0)."""
        return shown(
            self.look(x, t, sdf_gradient).sh, torch.zeros_like(x) if view_direction is None else -view_direction
        )

    def evaluate(self, inputs: Mapping[str, Tensor], want: frozenset[str]) -> Quantities:
        given = (inputs.get(q) for q in ("time", "view_direction", "sdf_gradient"))
        return {"color": self(inputs["points"], *given)}
