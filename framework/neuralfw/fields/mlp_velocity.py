"""A velocity as a multilayer perceptron over encoded coordinates."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from ..components import Build, Encoder, Field, Quantities
from ..nn.jet import Jet
from ..nn.mlp import Mlp
from ..operators import derivatives
from .config import MlpVelocityConfig


class MlpVelocity(Field):
    """v(x, t?, z?) as an MLP, in scene units per unit of time; its Jacobian and Laplacian come from the same pass."""

    role = "velocity"

    def __init__(self, config: MlpVelocityConfig, build: Build) -> None:
        super().__init__(config, build)
        self._bent = config.activation != "relu" or config.encoder.name != "core/identity"
        self.encoder: Encoder = build.component(config.encoder)
        latent = build.scene.fields[config.latent].dim if config.latent else 0
        self.mlp = Mlp(
            self.encoder.out_dim + int(config.time is not None) + latent,
            3,
            width=config.width,
            layers=config.layers,
            skip=config.skip,
            activation=config.activation,
            beta=config.beta,
            omega=config.omega,
            generator=build.generator,
        )
        if config.start == "rest":
            last = self.mlp.layers[-1]
            last.assign(torch.zeros_like(last.weight), torch.zeros_like(last.bias))  # type: ignore[operator, arg-type]

    def forward(
        self,
        x: Float[Tensor, "n 3"],
        t: Float[Tensor, " n"] | None = None,
        z: Float[Tensor, "n latent"] | None = None,
        want: frozenset[str] = frozenset({"velocity"}),
    ) -> Quantities:
        """Return the wanted of `velocity (n, 3)`, `velocity_jacobian (n, 3, 3)` with entries ∂vᵢ/∂xⱼ, and
        `velocity_laplacian (n, 3)`, all in space. The last is 0 of rectified units on the coordinates as they are."""
        if "velocity_laplacian" in want and not self._bent:
            others = want - {"velocity_laplacian"}
            return {**(self(x, t, z, others) if others else {}), "velocity_laplacian": torch.zeros_like(x)}
        fixed = [*([] if t is None else [t[:, None]]), *([] if z is None else [z])]
        if want <= {"velocity"}:
            return {"velocity": self.mlp.swept(torch.cat([self.encoder(x), *fixed], dim=1))}
        inputs = derivatives(self.encoder, x, laplacian="velocity_laplacian" in want)
        for more in fixed:
            inputs = inputs.beside(Jet.of_constant(more, inputs))
        jet = self.mlp.jet(inputs)
        found = {"velocity": jet.value, "velocity_jacobian": jet.jacobian.permute(1, 2, 0)}
        return found if jet.laplacian is None else {**found, "velocity_laplacian": jet.laplacian}

    def evaluate(self, inputs: Mapping[str, Tensor], want: frozenset[str]) -> Quantities:
        return self(inputs["points"], inputs.get("time"), inputs.get("latent"), want=want)  # type: ignore[no-any-return]
