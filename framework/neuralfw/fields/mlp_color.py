"""The colour of a surface point, seen from a direction: a surface light field."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from ..components import Build, Encoder, Field, Quantities
from ..nn.mlp import Mlp
from ..renderers.points import unit
from .appearance_config import MlpColorConfig


class MlpColor(Field):
    """M(x, v, n, z) as an MLP of rectified linear units with an output in [0, 1] (IDR, arXiv 2003.09852, eq. 7)."""

    role = "color"

    def __init__(self, config: MlpColorConfig, build: Build) -> None:
        super().__init__(config, build)
        self._mode, self._unit = config.mode, config.normals == "unit"
        self.view_encoder: Encoder = build.component(config.view_encoder)
        self._features = int(getattr(build.scene.fields[config.sdf], "features", 0)) if config.sdf else 0
        taken = 3 * (config.mode != "no_normal") + self.view_encoder.out_dim * (config.mode != "no_view_dir")
        self.mlp = Mlp(
            3 + taken + self._features,
            3,
            width=config.width,
            layers=config.layers,
            activation="relu",
            weight_norm=config.weight_norm,
            generator=build.generator,
        )

    def forward(
        self,
        x: Float[Tensor, "n 3"],
        view_direction: Float[Tensor, "n 3"] | None = None,
        sdf_gradient: Float[Tensor, "n 3"] | None = None,
        feature: Float[Tensor, "n features"] | None = None,
    ) -> Float[Tensor, "n 3"]:
        """Return colours in [0, 1].

        Args:
            x: positions, scene units.
            view_direction: unit directions to the camera; not used in mode `no_view_dir`.
            sdf_gradient: of the distance at x; not used in mode `no_normal`.
            feature: the SDF's feature channels, where it has any.
        """
        inputs = [x]
        if self._mode != "no_view_dir":
            assert view_direction is not None
            inputs.append(self.view_encoder(view_direction))
        if self._mode != "no_normal":
            assert sdf_gradient is not None
            inputs.append(unit(sdf_gradient) if self._unit else sdf_gradient)
        if self._features:
            assert feature is not None
            inputs.append(feature)
        colors: Tensor = 0.5 * (torch.tanh(self.mlp(torch.cat(inputs, dim=1))) + 1.0)
        return colors

    def evaluate(self, inputs: Mapping[str, Tensor], want: frozenset[str]) -> Quantities:
        given = (inputs.get(q) for q in ("view_direction", "sdf_gradient", "feature"))
        return {"color": self(inputs["points"], *given)}
