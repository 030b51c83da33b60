"""One latent code per shape of a data set: learnt beside the decoder (the auto-decoder of DeepSDF), or given."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..components import Build, Field, Quantities
from ..errors import UserError
from .config import LatentsConfig


class Latents(Field):
    """Codes z_i, drawn from N(0, std²) (Park et al. 2019, arXiv 1901.05103, §4) or laid out in the order of the shapes.

    Codes that are laid out are the shapes' coordinates as they are, where no stage trains them. Of a sequence of n
    shapes its n - 1 pairs have the codes z_k and z_{k+1} (4Deform, arXiv 2502.20208).
    """

    role = "latents"

    def __init__(self, config: LatentsConfig, build: Build) -> None:
        super().__init__(config, build)
        data = build.scene.data.get(config.per)
        self._ends, self._max_norm = config.of == "ends", config.max_norm
        self.dim = config.dim * (1 + self._ends)
        count = (len(data.shapes) if data is not None else 1) + self._ends
        if config.start == "corners" and count > config.dim:
            raise UserError(f'{build.place}: start = "corners" of {count} shapes needs dim = {count}, not {config.dim}')
        self.codes = nn.Parameter(_start(count, config, build.generator))

    def bounded(self) -> Float[Tensor, "shapes dim"]:
        """Return the codes, scaled back to `max_norm` where they are longer."""
        if self._max_norm is None:
            return self.codes
        length = self.codes.norm(dim=1, keepdim=True)
        bounded: Tensor = self.codes * (self._max_norm / length.clamp_min(self._max_norm))
        return bounded

    def forward(self, index: Int[Tensor, " n"]) -> Float[Tensor, "n code"]:
        """Return the codes of shapes, or those of both ends of pairs, one after the other."""
        codes = self.bounded()
        return torch.cat([codes[index], codes[index + 1]], dim=1) if self._ends else codes[index]

    def evaluate(self, inputs: Mapping[str, Tensor], want: frozenset[str]) -> Quantities:
        return {"latent": self(inputs["index"])}


def _start(count: int, config: LatentsConfig, generator: torch.Generator) -> Float[Tensor, "shapes dim"]:
    if config.start == "normal":
        return torch.randn(count, config.dim, generator=generator) * config.std
    if config.start == "corners":
        return torch.eye(count, config.dim)
    codes = torch.zeros(count, config.dim)
    codes[:, 0] = torch.linspace(0.0, 1.0, count)
    return codes
