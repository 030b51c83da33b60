"""A distance that has a field of its own for each of some moments: a sequence without anything shared."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuralfw.components import Build, Quantities, SdfField
from neuralfw.moments import blended

from .keyframed_config import KeyframedSdfConfig


class KeyframedSdf(SdfField):
    """φ(x, t) = Σ w_k(t) φ_k(x) over evenly spaced moments, w those of linear interpolation.

    No moment disturbs another while they are learnt in turn, and at a moment nothing but its own field is evaluated.
    In between the distances are blended, which carries a surface only where both moments have one.
    """

    def __init__(self, config: KeyframedSdfConfig, build: Build) -> None:
        super().__init__(config, build)
        self.of = nn.ModuleList(build.component(config.of) for _ in range(config.moments))
        self.features = int(getattr(self.of[0], "features", 0))

    def forward(
        self,
        x: Float[Tensor, "n 3"],
        t: Float[Tensor, " n"] | None = None,
        z: Float[Tensor, "n latent"] | None = None,
        want: frozenset[str] = frozenset({"sdf"}),
    ) -> Quantities:
        assert t is not None
        weights, rates = blended(t, len(self.of))
        changing = "sdf_time_derivative" in want
        asked = (want - {"sdf_time_derivative"}) | {"sdf"}
        total: Quantities = {}
        for field, weight, rate in zip(self.of, weights.T, rates.T, strict=True):
            rows = torch.nonzero((weight != 0.0) | (changing & (rate != 0.0)))[:, 0]
            if len(x) and not len(rows):
                continue
            mine: Quantities = field(x[rows], None, None if z is None else z[rows], want=asked)
            parts = {q: v * weight[rows].reshape(-1, *(1,) * (v.dim() - 1)) for q, v in mine.items()}
            parts |= {"sdf_time_derivative": mine["sdf"] * rate[rows]} if changing else {}
            for quantity, value in parts.items():
                before = total.get(quantity)
                empty = value.new_zeros(len(x), *value.shape[1:]) if before is None else before
                total[quantity] = empty.index_add(0, rows, value)
        return total
