"""An SDF as a multilayer perceptron over encoded coordinates."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from ..components import Build, Encoder, Quantities, SdfField
from ..config import encodes_time
from ..nn.mlp import Linear, Mlp
from .config import MlpSdfConfig
from .round_start import RoundStart


class MlpSdf(SdfField):
    """f(x, t?, z?) as an MLP; value, features and derivatives come from one evaluation (see `neuralfw.nn.sweep`)."""

    def __init__(self, config: MlpSdfConfig, build: Build, linear: Callable[[int, int, bool], Linear] = Linear) -> None:
        super().__init__(config, build)
        self.encoder: Encoder = build.component(config.encoder)
        latent = build.scene.fields[config.latent].dim if config.latent else 0
        self._raw_time, self._encodes_time = config.time is not None, encodes_time(config.encoder)
        self.features = config.features
        self.mlp = Mlp(
            self.encoder.out_dim + int(self._raw_time) + latent,
            1 + config.features,
            width=config.width,
            layers=config.layers,
            skip=config.skip,
            activation=config.activation,
            beta=config.beta,
            omega=config.omega,
            weight_norm=config.weight_norm,
            dropout=config.dropout,
            kernel=config.kernel,
            precision=config.precision,
            generator=build.generator,
            linear=linear,
        )
        self._base: RoundStart | None = None
        if config.start == "sphere" and config.activation in ("softplus", "relu"):
            self.mlp.geometric_init(
                config.radius,
                center=config.center,
                inside_out=config.inside_out,
                coordinates=self.encoder.coordinates,
            )
        elif config.start == "sphere":
            self._base = RoundStart(config.radius, -1.0 if config.inside_out else 1.0, config.center)

    def forward(
        self,
        x: Float[Tensor, "n 3"],
        t: Float[Tensor, " n"] | None = None,
        z: Float[Tensor, "n latent"] | None = None,
        want: frozenset[str] = frozenset({"sdf"}),
    ) -> Quantities:
        moment = [] if t is None else [t[:, None]]
        at = torch.cat([x, *moment], dim=1) if self._encodes_time else x
        code = self.encoder(at)
        h = torch.cat([code, *(moment if self._raw_time else []), *([] if z is None else [z])], dim=1)
        base = self._base.value(x) if self._base else 0.0
        if not want & {"sdf_gradient", "sdf_time_derivative"}:
            out = self.mlp(h)
            return {"sdf": out[:, 0] + base, "feature": out[:, 1:]}
        out, g = self.mlp.value_and_pullback(h)
        quantities = {"sdf": out[:, 0] + base, "feature": out[:, 1:]}
        through = self.encoder.pullback(at, g[:, : code.shape[1]])
        if "sdf_gradient" in want:
            gradient = through[:, :3]
            quantities["sdf_gradient"] = gradient + self._base.gradient(x) if self._base else gradient
        if "sdf_time_derivative" in want:
            rates = [g[:, code.shape[1]]] if self._raw_time else []
            rates += [through[:, 3]] if self._encodes_time else []
            quantities["sdf_time_derivative"] = torch.stack(rates).sum(dim=0)
        return quantities
