"""An affine map with a learnt Lipschitz bound, and the bound of a network of such maps."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from neuralfw.nn import Mlp
from neuralfw.nn.mlp import Linear

SPEED = 10.0  # of log k where an optimiser moves all parameters alike: bounds begin orders of magnitude too large


class LipschitzLinear(Linear):
    """y = Ŵx + b with |Ŵ| ≤ k for a learnt k (Liu et al. 2022, arXiv 2202.08345, eq. 3 to 5).

    In the norm `inf` a row of the weight is scaled down to Σ|Ŵ_ij| = k where it is larger, in the norm `one` a column.
    What is smaller stays as it is. The weight is the same in training and evaluation.

    The parameter `raw_bound` is log(k)/10, or for the bound `softplus` the inverse softplus of k. `assign` makes k as
    large as the weight, so that nothing is scaled at first.
    """

    def __init__(self, in_dim: int, out_dim: int, weight_norm: bool, *, norm: str, bound: str) -> None:
        super().__init__(in_dim, out_dim, weight_norm)
        self._summed = 1 if norm == "inf" else 0
        self._exponential = bound == "exp"
        self.raw_bound = nn.Parameter(torch.empty(()))

    def bound(self) -> Float[Tensor, ""]:
        """Return k."""
        return (SPEED * self.raw_bound).exp() if self._exponential else functional.softplus(self.raw_bound)

    @torch.no_grad()
    def assign(self, weight: Float[Tensor, "out in"], bias: Float[Tensor, " out"]) -> None:
        super().assign(weight, bias)
        k = weight.abs().sum(dim=self._summed).max()
        self.raw_bound.copy_(k.log() / SPEED if self._exponential else k + (-torch.expm1(-k)).log())

    def effective_weight(self) -> Float[Tensor, "out in"]:
        weight, k = super().effective_weight(), self.bound()
        size = weight.abs().sum(dim=self._summed, keepdim=True)
        scaled: Tensor = weight * (k / torch.maximum(size, k))
        return scaled


def log_bound(mlp: Mlp, norm: str) -> Float[Tensor, ""]:
    """Return the logarithm of a number L with |f(u) - f(v)| ≤ L |u - v| for all inputs, in the norm of the layers.

    It is Σ log k for layers without skip connections and 1-Lipschitz activations. A layer k that also takes the input
    takes concat(h, u)/√2, which is max(L_h, 1)/√2-Lipschitz in the norm `inf` and (L_h + 1)/√2 in the norm `one`.
    """
    linears = mlp.linears()
    slope = math.log(mlp.activation.steepest)
    total = linears[0].bias.new_zeros(())
    for k, linear in enumerate(linears):
        assert isinstance(linear, LipschitzLinear)
        if k in mlp.skip:
            total = (total.clamp(min=0.0) if norm == "inf" else functional.softplus(total)) - 0.5 * math.log(2.0)
        total = total + linear.bound().log() + (slope if k + 1 < len(linears) else 0.0)
    return total
