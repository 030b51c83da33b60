"""DeepSDF's decoder: an SDF of coordinates and, for a class of shapes, of a latent code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from neuralfw.components import Build, Quantities, SdfField
from neuralfw.errors import UserError
from neuralfw.fields.round_start import RoundStart
from neuralfw.nn import initialize
from neuralfw.nn.mlp import Linear

from .config import DeepSdfDecoderConfig

SLOPE = 0.25  # PyTorch's start of a learnt PReLU slope


class DeepSdfDecoder(SdfField):
    """f(z, x) as a perceptron with appended inputs (Park et al. 2019, arXiv 1901.05103, §6 and figure 4).

    The layers of `skip` take `concat(h, z, x)`, without IGR's factor 1/√2; the layer before each is narrower by as
    much. Weights start as PyTorch's. Parameters are named `layers.<k>.weight`, `.bias` and, under weight norm, `.gain`.
    """

    def __init__(self, config: DeepSdfDecoderConfig, build: Build) -> None:
        super().__init__(config, build)
        self._config = config
        self._sphere = RoundStart(config.radius, 1.0, config.center) if config.start == "sphere" else None
        latent = int(build.scene.fields[config.latent].dim) if config.latent else 0  # type: ignore[arg-type]
        ins, outs = _sizes(config, 3 + latent, build.place)
        hidden = range(config.layers)
        self.layers = nn.ModuleList(
            Linear(i, o, weight_norm=config.norm == "weight" and k in hidden)
            for k, (i, o) in enumerate(zip(ins, outs, strict=True))
        )
        for linear, i, o in zip(self.linears(), ins, outs, strict=True):
            linear.assign(*initialize.uniform((o, i), build.generator))
        self.norms = nn.ModuleList(nn.LayerNorm(outs[k]) for k in hidden if config.norm == "layer")
        self.slope = nn.Parameter(torch.tensor([SLOPE])) if config.activation == "prelu" else None

    def linears(self) -> Iterator[Linear]:
        """Yield the affine layers, the output layer last."""
        for layer in self.layers:
            assert isinstance(layer, Linear)
            yield layer

    def forward(
        self,
        x: Float[Tensor, "n 3"],
        t: Float[Tensor, " n"] | None = None,
        z: Float[Tensor, "n latent"] | None = None,
        want: frozenset[str] = frozenset({"sdf"}),
    ) -> Quantities:
        if "sdf_gradient" not in want:
            return {"sdf": self.distance(x, z)}
        training = torch.is_grad_enabled()
        with torch.enable_grad():
            at = x if x.requires_grad else x.detach().requires_grad_()
            sdf = self.distance(at, z)
            (gradient,) = torch.autograd.grad(sdf.sum(), at, create_graph=training)
        return {"sdf": sdf if training else sdf.detach(), "sdf_gradient": gradient}

    def distance(self, x: Float[Tensor, "n 3"], z: Float[Tensor, "n latent"] | None) -> Float[Tensor, " n"]:
        """Return the signed distance, through a tanh unless the options say otherwise."""
        given = x if z is None else torch.cat([z, x], dim=1)
        h = given if z is None else torch.cat([self._drop(z, self._config.latent_dropout), x], dim=1)
        last = self._config.layers
        for k, linear in enumerate(self.linears()):
            if k in self._config.skip:
                h = torch.cat([h, given], dim=1)
            elif k and self._config.xyz_in_all:
                h = torch.cat([h, x], dim=1)
            h = functional.linear(h, linear.effective_weight(), linear.bias)
            if k < last:
                h = self.norms[k](h) if self._config.norm == "layer" else h
                h = functional.relu(h) if self.slope is None else functional.prelu(h, self.slope)
                h = self._drop(h, self._config.dropout)
        sdf = (torch.tanh(h) if self._config.tanh else h)[:, 0]
        return sdf if self._sphere is None else sdf + self._sphere.value(x)

    def _drop(self, h: Tensor, share: float) -> Tensor:
        return functional.dropout(h, share, self.training) if share else h


def _sizes(config: DeepSdfDecoderConfig, in_dim: int, place: str) -> tuple[Sequence[int], Sequence[int]]:
    """Return how many channels each layer takes and gives; what is appended makes the layer before it narrower."""
    appended = {k: 3 for k in range(1, config.layers + 1) if config.xyz_in_all} | dict.fromkeys(config.skip, in_dim)
    if any(n >= config.width for n in appended.values()):
        raise UserError(f"{place}: width {config.width} leaves no room for the {in_dim} inputs of the layers of skip")
    outs = [config.width - appended.get(k + 1, 0) for k in range(config.layers)] + [1]
    ins = [in_dim] + [n + appended.get(k, 0) for k, n in enumerate(outs[:-1], start=1)]
    return ins, outs
