"""Value and gradient of a network in one call, differentiable once more without a double-backward graph.

Notation, for layers k = 0..K-1 with weights W, activation φ and input x (which skip layers read again):

    value sweep      z = W [h, x] + b,       h' = φ(z)                           out
    gradient sweep   g = φ'(z) a,            a = g W_h                           ∇f = Σ g W_x
    tangent sweep    ż = W [ḣ, v],           ḣ' = φ'(z) ż,  c = φ''(z) ż a       v = ∂L/∂(∇f)
    adjoint sweep    z̄ = φ'(z) h̄ + c,        h̄ = z̄ W_h                           x̄ = Σ z̄ W_x
    parameters       ∂L/∂W = gᵀ [ḣ, v] + z̄ᵀ [h, x],   ∂L/∂b = Σ z̄

The tangent sweep follows the single direction v per point, so that a loss of (out, ∇f) costs six matrix products per
layer, as double backward does, and no graph. Each sweep takes the points in chunks that stay in the cache.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from . import plain
from .activations import Activated
from .network import Layer, Network


class Record(NamedTuple):
    """What the value and gradient sweeps over one chunk leave behind, per hidden layer."""

    activated: list[Activated]
    pulled: list[Float[Tensor, "n width"]]  # g; empty without a gradient sweep


def values(network: Network, parameters: Sequence[Tensor], x: Float[Tensor, "n in"]) -> Float[Tensor, "n out"]:
    """The outputs at x; with gradients enabled, recorded for a backward pass of one more sweep."""
    if torch.is_grad_enabled():
        out: Tensor = _Sweep.apply(x, network, False, *parameters)[0]  # type: ignore[no-untyped-call]
        return out
    layers = network.layers(parameters, x.shape[1])
    outs = []
    for part in network.chunks(x, layers):
        stored = network.stored(part)
        h = stored[:, :0]
        for layer in layers[:-1]:
            h = network.kernel.value(network.activation, layer.apply(h, stored), layer.bias)
        outs.append(_output(layers[-1], h))
    return torch.cat(outs)


def value_and_pullback(
    network: Network, parameters: Sequence[Tensor], x: Float[Tensor, "n in"]
) -> tuple[Float[Tensor, "n out"], Float[Tensor, "n in"]]:
    """The outputs and the gradient of channel 0 in x; recorded as `values` are, for two more sweeps."""
    if torch.is_grad_enabled():
        out, gradient = _Sweep.apply(x, network, True, *parameters)  # type: ignore[no-untyped-call]
    else:
        out, gradient, _ = _forward_sweeps(network, network.layers(parameters, x.shape[1]), x, True, keep=False)
    return out, gradient


class _Sweep(torch.autograd.Function):
    """`(x, network, with_gradient, *weights, *biases) → (out, ∂out₀/∂x or None)`."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, network: Network, with_gradient: bool, *parameters: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        layers, keep = network.layers(parameters, x.shape[1]), any(ctx.needs_input_grad)
        out, gradient, kept = _forward_sweeps(network, layers, x, with_gradient, keep)
        ctx.network = network
        ctx.save_for_backward(x, *parameters, *kept)
        ctx.set_materialize_grads(False)
        return out, gradient

    @staticmethod
    def backward(ctx: Any, out_bar: Tensor | None, v: Tensor | None) -> Any:
        count = len(ctx.needs_input_grad) - 3
        x, parameters, saved = ctx.saved_tensors[0], ctx.saved_tensors[1 : count + 1], ctx.saved_tensors[count + 1 :]
        if torch.is_grad_enabled():  # create_graph=True: a third derivative is to follow
            x_bar, bars = _plain_backward(ctx.network, parameters, x, out_bar, v)
            return x_bar, None, None, *bars
        layers = ctx.network.layers(parameters, x.shape[1])
        sums = _Bars(layers, parameters, x.shape[1])
        if out_bar is None:
            out_bar = x.new_zeros(len(x), len(layers[-1].bias))
        chunks = ctx.network.chunks(x, layers)
        x_bars, first = [], 0
        for part, record in zip(chunks, _unflatten(saved, len(layers) - 1, len(chunks)), strict=True):
            rows = slice(first, first := first + len(part))
            curvature: list[Tensor | None] = [None] * len(record.activated)
            if v is not None:
                curvature = _tangent_sweep(ctx.network, layers, record, v[rows], sums)
            z_bars = _adjoint_sweep(ctx.network, layers, record, part, out_bar[rows], curvature, sums)
            if ctx.needs_input_grad[0]:
                x_bars.append(_pulled_back(layers, z_bars)[:, : x.shape[1]])
        return torch.cat(x_bars) if x_bars else None, None, None, *sums.weights, *sums.biases


class _Bars:
    """∂L/∂W and ∂L/∂b of all layers, summed over the chunks in the dtype of the parameters."""

    def __init__(self, layers: Sequence[Layer], parameters: Sequence[Tensor], in_dim: int) -> None:
        bars = [torch.zeros_like(p, memory_format=torch.contiguous_format) for p in parameters]
        self.weights, self.biases = bars[: len(layers)], bars[len(layers) :]
        self._layers, self._in_dim = layers, in_dim

    def add(self, k: int, left: Tensor, h: Tensor, stored: Tensor) -> None:
        """∂L/∂W of layer k += leftᵀ [h, x]."""
        if self._layers[k].reads_hidden:
            self.weights[k][:, : h.shape[1]] += left.t() @ h
        if self._layers[k].reads_input:
            self.weights[k][:, -self._in_dim :] += (left.t() @ stored)[:, : self._in_dim]


def _forward_sweeps(
    network: Network, layers: Sequence[Layer], x: Tensor, with_gradient: bool, keep: bool
) -> tuple[Tensor, Tensor | None, list[Tensor]]:
    """out, ∂out₀/∂x if wanted, and the records of all chunks in one flat list, if they are to be kept."""
    outs, gradients, kept = [], [], []
    for part in network.chunks(x, layers):
        out, activated = _value_sweep(network, layers, part)
        outs.append(out)
        pulled: list[Tensor] = []
        if with_gradient:
            gradient, pulled = _gradient_sweep(network, layers, activated)
            gradients.append(gradient[:, : x.shape[1]])
        if keep:
            kept += [*(array for at in activated for array in at), *pulled]
    return torch.cat(outs), torch.cat(gradients) if with_gradient else None, kept


def _value_sweep(network: Network, layers: Sequence[Layer], x: Tensor) -> tuple[Tensor, list[Activated]]:
    stored = network.stored(x)
    h = stored[:, :0]
    activated = []
    for layer in layers[:-1]:
        activated.append(network.kernel.evaluate(network.activation, layer.apply(h, stored), layer.bias))
        h = activated[-1].value
    return _output(layers[-1], h), activated


def _output(last: Layer, h: Tensor) -> Tensor:
    return functional.linear(h.to(last.hidden.dtype), last.hidden, last.bias)


def _gradient_sweep(
    network: Network, layers: Sequence[Layer], activated: Sequence[Activated]
) -> tuple[Tensor, list[Tensor]]:
    """∂out₀/∂x, padded, and g of each hidden layer."""
    pulled: list[Tensor] = []
    a = layers[-1].hidden[0].to(activated[-1].value.dtype).expand(len(activated[-1].value), -1)
    for layer, at in zip(reversed(layers[:-1]), reversed(activated), strict=True):
        pulled.insert(0, network.kernel.scale(network.activation, at, a))
        if layer.reads_hidden:
            a = pulled[0] @ layer.hidden
    return _pulled_back(layers, pulled), pulled


def _pulled_back(layers: Sequence[Layer], gs: Sequence[Tensor]) -> Tensor:
    """Σ g W_x over the layers that read the input, padded."""
    first, *others = [layer.pull_back(g) for layer, g in zip(layers, gs, strict=False) if layer.reads_input]
    for other in others:
        first += other
    return first


def _tangent_sweep(
    network: Network, layers: Sequence[Layer], record: Record, v: Tensor, sums: _Bars
) -> list[Tensor | None]:
    """c of each hidden layer; adds to ∂L/∂W."""
    stored = network.stored(v)
    h_dot = stored[:, :0]
    curvature: list[Tensor | None] = []
    for k, (layer, at, g) in enumerate(zip(layers[:-1], *record, strict=True)):
        sums.add(k, g, h_dot, stored)
        h_dot, c = network.kernel.tangent(network.activation, at, layer.apply(h_dot, stored), g)
        curvature.append(c)
    sums.weights[-1][0] += h_dot.sum(dim=0, dtype=v.dtype)
    return curvature


def _adjoint_sweep(
    network: Network,
    layers: Sequence[Layer],
    record: Record,
    x: Tensor,
    out_bar: Tensor,
    curvature: Sequence[Tensor | None],
    sums: _Bars,
) -> list[Tensor]:
    """z̄ of each hidden layer; adds to ∂L/∂W and ∂L/∂b."""
    stored = network.stored(x)
    values = [stored[:, :0], *(at.value for at in record.activated)]
    sums.biases[-1] += out_bar.sum(dim=0)
    out_bar = out_bar.to(stored.dtype)
    sums.add(len(layers) - 1, out_bar, values[-1], stored)
    h_bar = out_bar @ layers[-1].hidden.to(stored.dtype)
    z_bars: list[Tensor] = []
    for k in reversed(range(len(layers) - 1)):
        z_bar, bias_bar = network.kernel.adjoint(network.activation, record.activated[k], h_bar, curvature[k])
        z_bars.insert(0, z_bar)
        sums.add(k, z_bar, values[k], stored)
        sums.biases[k] += bias_bar
        if layers[k].reads_hidden:
            h_bar = z_bar @ layers[k].hidden
    return z_bars


def _unflatten(saved: Sequence[Tensor], depth: int, chunks: int) -> Iterator[Record]:
    """The records out of one flat list; of each chunk (value, auxiliary) pairs, then the g, per hidden layer."""
    size = len(saved) // chunks
    for start in range(0, len(saved), size):
        own = saved[start : start + size]
        yield Record([Activated(*own[2 * k : 2 * k + 2]) for k in range(depth)], list(own[2 * depth :]))


def _plain_backward(
    network: Network, parameters: Sequence[Tensor], x: Tensor, out_bar: Tensor | None, v: Tensor | None
) -> tuple[Tensor, list[Tensor]]:
    """The same gradients by autograd, themselves differentiable."""
    x, *parameters = (p if p.requires_grad else p.detach().requires_grad_() for p in (x, *parameters))
    outputs = plain.value_and_pullback(network.activation, plain.split(parameters, x.shape[1], network.skip), x)
    pairs = [(o, bar) for o, bar in zip(outputs, (out_bar, v), strict=True) if bar is not None]
    x_bar, *bars = torch.autograd.grad(
        [o for o, _ in pairs], [x, *parameters], [bar for _, bar in pairs], create_graph=True, materialize_grads=True
    )
    return x_bar, bars
