"""Value and gradient of a network in one call, differentiable once more without a double-backward graph.

Notation, for layers k = 0..K-1 with weights W, activation φ and input x (which skip layers read again):

    value sweep      z = W [h, x] + b,       h' = φ(z)                           out
    gradient sweep   g = φ'(z) a,            a = g W_h                           ∇f = Σ g W_x
    tangent sweep    ż = W [ḣ, v],           ḣ' = φ'(z) ż,  c = φ''(z) ż a       v = ∂L/∂(∇f)
    adjoint sweep    z̄ = φ'(z) h̄ + c,        h̄ = z̄ W_h                           x̄ = Σ z̄ W_x
    parameters       ∂L/∂W = gᵀ [ḣ, v] + z̄ᵀ [h, x],   ∂L/∂b = Σ z̄

The tangent sweep follows the single direction v per point, so that a loss of (out, ∇f) costs six matrix products per
layer, as double backward does, and no graph.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from .activations import Activated, Activation
from .kernels import TorchKernel


class Layer(NamedTuple):
    """One affine map, its weight split into the columns that read the last layer and those that read the input."""

    hidden: Float[Tensor, "out hidden"]
    input: Float[Tensor, "out in"]
    bias: Float[Tensor, " out"]

    @property
    def reads_input(self) -> bool:
        return self.input.shape[1] > 0


@dataclass(frozen=True)
class Network:
    """What the sweeps need to know beside the weights."""

    activation: Activation
    kernel: TorchKernel
    skip: frozenset[int]
    storage: torch.dtype | None = None  # of hidden arrays and of the matrix products between them; None: as x

    def split(self, weights: Sequence[Tensor], biases: Sequence[Tensor], in_dim: int) -> list[Layer]:
        """The layers, with empty `hidden` or `input` columns where a layer reads only the other."""
        layers = []
        for k, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            inputs = in_dim if k == 0 or k in self.skip else 0
            cut = weight.shape[1] - inputs
            last = k == len(weights) - 1
            hidden = weight[:, :cut] if last else weight[:, :cut].to(self.storage or weight.dtype)
            layers.append(Layer(hidden, weight[:, cut:], bias))
        return layers


class Swept(NamedTuple):
    """All that the value and gradient sweeps leave behind."""

    out: Float[Tensor, "n out"]
    gradient: Float[Tensor, "n in"]
    activated: list[Activated]
    pulled: list[Float[Tensor, "n width"]]  # g of each hidden layer


def plain_hidden(
    activation: Activation, layers: Sequence[Layer], x: Float[Tensor, "n in"], dropout: float = 0.0
) -> Float[Tensor, "n width"]:
    """The last hidden layer in ordinary torch operations, differentiable to any order."""
    h = x.new_empty(len(x), 0)
    for layer in layers[:-1]:
        h = functional.dropout(activation(_affine(layer, h, x) + layer.bias), dropout)
    return h


def plain_values(
    activation: Activation, layers: Sequence[Layer], x: Float[Tensor, "n in"], dropout: float = 0.0
) -> Float[Tensor, "n out"]:
    """The network in ordinary torch operations, differentiable to any order."""
    return _output(layers[-1], plain_hidden(activation, layers, x, dropout))


def plain_value_and_pullback(
    activation: Activation, layers: Sequence[Layer], x: Float[Tensor, "n in"], dropout: float = 0.0
) -> tuple[Float[Tensor, "n out"], Float[Tensor, "n in"]]:
    """Value and gradient of channel 0 by autograd, differentiable to any order."""
    with torch.enable_grad():
        at = x if x.requires_grad else x.detach().requires_grad_()
        out = plain_values(activation, layers, at, dropout)
        (gradient,) = torch.autograd.grad(out[:, 0].sum(), at, create_graph=True)
    return out, gradient


def values(network: Network, layers: Sequence[Layer], x: Float[Tensor, "n in"]) -> Float[Tensor, "n out"]:
    """The value sweep alone, unrecorded."""
    h = x.new_empty(len(x), 0)
    for layer in layers[:-1]:
        h = network.kernel.value(network.activation, _affine(layer, h, x), layer.bias)
    return _output(layers[-1], h)


def value_and_gradient(network: Network, layers: Sequence[Layer], x: Float[Tensor, "n in"]) -> Swept:
    """Value and gradient sweeps, unrecorded."""
    kernel, activation = network.kernel, network.activation
    h = x.new_empty(len(x), 0)
    activated = []
    for layer in layers[:-1]:
        activated.append(kernel.evaluate(activation, _affine(layer, h, x), layer.bias))
        h = activated[-1].value
    out = _output(layers[-1], h)

    gradient = torch.zeros_like(x)
    pulled: list[Tensor] = []
    a = layers[-1].hidden[0].to(h.dtype).expand(len(x), -1)
    for layer, at in zip(reversed(layers[:-1]), reversed(activated), strict=True):
        g = kernel.scale(activation, at, a)
        pulled.append(g)
        if layer.reads_input:
            gradient.addmm_(g.to(x.dtype), layer.input)
        a = g @ layer.hidden
    return Swept(out, gradient, activated, pulled[::-1])


class _ValueAndPullback(torch.autograd.Function):
    """`(x, network, *weights, *biases) → (out, ∂out₀/∂x)`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, network: Network, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        count = len(parameters) // 2
        layers = network.split(parameters[:count], parameters[count:], x.shape[1])
        swept = value_and_gradient(network, layers, x)
        ctx.network = network
        ctx.save_for_backward(x, *parameters)
        ctx.activated, ctx.pulled = swept.activated, swept.pulled
        ctx.set_materialize_grads(False)
        return swept.out, swept.gradient

    @staticmethod
    def backward(ctx: Any, out_bar: Tensor | None, v: Tensor | None) -> Any:
        x, *parameters = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph=True: a third derivative is to follow
            x_bar, bars = _plain_backward(ctx.network, x, parameters, out_bar, v)
        else:
            count = len(parameters) // 2
            layers = ctx.network.split(parameters[:count], parameters[count:], x.shape[1])
            x_bar, bars = _backward_sweeps(ctx.network, layers, x, ctx.activated, ctx.pulled, out_bar, v)
        return x_bar, None, *bars


def sweep(
    network: Network, x: Float[Tensor, "n in"], weights: Sequence[Tensor], biases: Sequence[Tensor]
) -> tuple[Float[Tensor, "n out"], Float[Tensor, "n in"]]:
    """Value and gradient of channel 0, recorded for a backward pass of two more sweeps."""
    out, gradient = _ValueAndPullback.apply(x, network, *weights, *biases)  # type: ignore[no-untyped-call]
    return out, gradient


def _affine(layer: Layer, h: Tensor, x: Tensor) -> Tensor:
    """W [h, x], without the bias, in the dtype of the hidden weights."""
    if layer.hidden.shape[1] == 0:
        return (x @ layer.input.t()).to(layer.hidden.dtype)
    z = h @ layer.hidden.t()
    return z.add_(x @ layer.input.t()) if layer.reads_input else z


def _output(last: Layer, h: Tensor) -> Tensor:
    return functional.linear(h.to(last.hidden.dtype), last.hidden, last.bias)


def _weight_bar(left: Tensor, layer: Layer, h: Tensor, x: Tensor) -> Tensor:
    """leftᵀ [h, x]."""
    parts = []
    if layer.hidden.shape[1]:
        parts.append((left.t() @ h).to(x.dtype))
    if layer.reads_input:
        parts.append(left.to(x.dtype).t() @ x)
    return torch.cat(parts, dim=1)


def _backward_sweeps(
    network: Network,
    layers: Sequence[Layer],
    x: Tensor,
    activated: Sequence[Activated],
    pulled: Sequence[Tensor],
    out_bar: Tensor | None,
    v: Tensor | None,
) -> tuple[Tensor, list[Tensor]]:
    """Tangent and adjoint sweeps: the gradients of x and of all weights, then all biases."""
    kernel, activation = network.kernel, network.activation
    *hidden_layers, last = layers
    weight_bars = [torch.zeros((), dtype=x.dtype)] * len(layers)
    curvature: list[Tensor | None] = [None] * len(hidden_layers)
    if v is not None:
        h_dot = v.new_empty(len(v), 0)
        for k, (layer, at, g) in enumerate(zip(hidden_layers, activated, pulled, strict=True)):
            weight_bars[k] = _weight_bar(g, layer, h_dot, v)
            h_dot, curvature[k] = kernel.tangent(activation, at, _affine(layer, h_dot, v), g)

    if out_bar is None:
        out_bar = x.new_zeros(len(x), len(last.bias))
    weight_bars[-1] = out_bar.t() @ activated[-1].value.to(x.dtype)
    if v is not None:
        weight_bars[-1][0] += h_dot.sum(dim=0, dtype=x.dtype)
    bias_bars = [out_bar.sum(dim=0)]
    h_bar = (out_bar @ last.hidden).to(activated[-1].value.dtype)
    x_bar = torch.zeros_like(x)
    for k in reversed(range(len(hidden_layers))):
        layer = hidden_layers[k]
        z_bar, bias_bar = kernel.adjoint(activation, activated[k], h_bar, curvature[k])
        weight_bars[k] = weight_bars[k] + _weight_bar(z_bar, layer, activated[k - 1].value if k else x, x)
        bias_bars.append(bias_bar)
        if layer.reads_input:
            x_bar.addmm_(z_bar.to(x.dtype), layer.input)
        h_bar = z_bar @ layer.hidden
    return x_bar, weight_bars + bias_bars[::-1]


def _plain_backward(
    network: Network, x: Tensor, parameters: Sequence[Tensor], out_bar: Tensor | None, v: Tensor | None
) -> tuple[Tensor, list[Tensor]]:
    """The same gradients by autograd, themselves differentiable."""
    x, *parameters = (p if p.requires_grad else p.detach().requires_grad_() for p in (x, *parameters))
    count = len(parameters) // 2
    layers = network.split(parameters[:count], parameters[count:], x.shape[1])
    outputs = plain_value_and_pullback(network.activation, layers, x)
    pairs = [(o, bar) for o, bar in zip(outputs, (out_bar, v), strict=True) if bar is not None]
    x_bar, *bars = torch.autograd.grad(
        [o for o, _ in pairs], [x, *parameters], [bar for _, bar in pairs], create_graph=True, materialize_grads=True
    )
    return x_bar, bars
