"""Value, Jacobian and Laplacian of a network in one pass: the "forward Laplacian".

A jet of features h(x) holds h, its derivatives J_k = ∂h/∂x_k and its Laplacian Δ = Σ_k ∂²h/∂x_k². An affine map acts on
each of them alike; an activation by the chain rule:

    h' = φ(h),   J_k' = φ'(h) J_k,   Δ' = φ'(h) Δ + φ''(h) Σ_k J_k²

So all second derivatives that a divergence, a strain or a Laplacian needs cost five evaluations, in ordinary
differentiable operations (Li et al. 2023, arXiv 2307.08214).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from .activations import Activation
from .plain import Layer


class Jet(NamedTuple):
    """Features of points with their derivatives in `d` coordinates; `laplacian` is None where nobody wants it."""

    value: Float[Tensor, "n c"]
    jacobian: Float[Tensor, "d n c"]
    laplacian: Float[Tensor, "n c"] | None

    @classmethod
    def of_constant(cls, value: Float[Tensor, "n c"], like: Jet) -> Jet:
        """Features that do not depend on the coordinates."""
        flat = value.new_zeros(len(like.jacobian), *value.shape)
        return cls(value, flat, None if like.laplacian is None else flat[0])

    def beside(self, other: Jet) -> Jet:
        """Both features in one row."""
        laplacian = None
        if self.laplacian is not None and other.laplacian is not None:
            laplacian = torch.cat([self.laplacian, other.laplacian], dim=-1)
        value, jacobian = (torch.cat([a, b], dim=-1) for a, b in zip(self[:2], other[:2], strict=True))
        return Jet(value, jacobian, laplacian)


def through(activation: Activation, layers: Sequence[Layer], u: Jet) -> Jet:
    """The outputs of a network whose inputs are u."""
    stacked = [u.value[None], u.jacobian, *([] if u.laplacian is None else [u.laplacian[None]])]
    inputs, dimensions = torch.cat(stacked), len(u.jacobian)
    h = inputs[..., :0]
    for layer in layers[:-1]:
        h = _activated(activation, _affine(layer, h, inputs), layer.bias, dimensions)
    out = _affine(layers[-1], h, inputs)
    return Jet(out[0] + layers[-1].bias, out[1 : 1 + dimensions], None if u.laplacian is None else out[1 + dimensions])


def _affine(layer: Layer, h: Float[Tensor, "o n w"], inputs: Float[Tensor, "o n c"]) -> Float[Tensor, "o n out"]:
    """W [h, x], without the bias, of every row of a jet."""
    if not layer.hidden.shape[1]:
        return inputs @ layer.input.t()
    z = h @ layer.hidden.t()
    return z + inputs @ layer.input.t() if layer.input.shape[1] else z


def _activated(
    activation: Activation, z: Float[Tensor, "o n w"], bias: Float[Tensor, " w"], dimensions: int
) -> Float[Tensor, "o n w"]:
    value, slope, curvature = activation.derivatives(z[0] + bias)
    jacobian = z[1 : 1 + dimensions]
    rows = [value[None], slope * jacobian]
    if len(z) > 1 + dimensions:
        rows.append((slope * z[-1] + curvature * jacobian.square().sum(dim=0))[None])
    return torch.cat(rows)
