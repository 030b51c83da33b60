"""The network in ordinary torch operations, differentiable to any order."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from .activations import Activation


class Layer(NamedTuple):
    """One affine map, its weight split into the columns that read the last layer and those that read the input.

    Layer 0 has no `hidden` columns; only it and the skip layers have `input` columns.
    """

    hidden: Float[Tensor, "out hidden"]
    input: Float[Tensor, "out in"]
    bias: Float[Tensor, " out"]


def split(parameters: Sequence[Tensor], in_dim: int, skip: frozenset[int]) -> list[Layer]:
    """The layers, from all weights followed by all biases; x is the last `in_dim` columns where a layer reads it."""
    count = len(parameters) // 2
    layers = []
    for k, (weight, bias) in enumerate(zip(parameters[:count], parameters[count:], strict=True)):
        cut = weight.shape[1] - (in_dim if k == 0 or k in skip else 0)
        layers.append(Layer(weight[:, :cut], weight[:, cut:], bias))
    return layers


def last_hidden(
    activation: Activation, layers: Sequence[Layer], x: Float[Tensor, "n in"], dropout: float = 0.0
) -> Float[Tensor, "n width"]:
    """What the output layer reads."""
    h = x.new_empty(len(x), 0)
    for layer in layers[:-1]:
        z = functional.linear(h, layer.hidden, layer.bias)
        z = z + x @ layer.input.t() if layer.input.shape[1] else z
        h = functional.dropout(activation(z), dropout)
    return h


def values(
    activation: Activation, layers: Sequence[Layer], x: Float[Tensor, "n in"], dropout: float = 0.0
) -> Float[Tensor, "n out"]:
    """The outputs at x."""
    return functional.linear(last_hidden(activation, layers, x, dropout), layers[-1].hidden, layers[-1].bias)


def value_and_pullback(
    activation: Activation, layers: Sequence[Layer], x: Float[Tensor, "n in"], dropout: float = 0.0
) -> tuple[Float[Tensor, "n out"], Float[Tensor, "n in"]]:
    """The outputs and the gradient of channel 0 in x; without a graph where the caller records none."""
    recorded = torch.is_grad_enabled()
    with torch.enable_grad():
        at = x if x.requires_grad else x.detach().requires_grad_()
        out = values(activation, layers, at, dropout)
        (gradient,) = torch.autograd.grad(out[:, 0].sum(), at, create_graph=recorded)
    return (out, gradient) if recorded else (out.detach(), gradient)
