"""Initial weights of the multilayer perceptron."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from .activations import Activation
from .plain import Layer, last_hidden

FIT_DIRECTIONS = 2048
FIT_RIDGE = 0.1  # relative to the mean square of the features


def uniform(
    shape: tuple[int, int], generator: torch.Generator
) -> tuple[Float[Tensor, "out in"], Float[Tensor, " out"]]:
    """PyTorch's default for affine layers: weight and bias uniform within 1/√in."""
    bound = 1 / math.sqrt(shape[1])
    return _within(bound, shape, generator), _within(bound, shape[:1], generator)


def sine(
    shape: tuple[int, int], first: bool, omega: float, generator: torch.Generator
) -> tuple[Float[Tensor, "out in"], Float[Tensor, " out"]]:
    """SIREN (arXiv 2006.09661, section 3.2): weights within 1/in in the first layer, √(6/in)/ω in the others."""
    bound = 1 / shape[1] if first else math.sqrt(6 / shape[1]) / omega
    return _within(bound, shape, generator), _within(1 / math.sqrt(shape[1]), shape[:1], generator)


def sphere(
    shapes: Sequence[tuple[int, int]],
    in_dim: int,
    skip: frozenset[int],
    coordinates: int,
    generator: torch.Generator,
) -> list[tuple[Float[Tensor, "out in"], Float[Tensor, " out"]]]:
    """Weights and biases with which channel 0 is about |x| (SAL, arXiv 1911.10414; IGR; IDR, supplementary).

    Hidden weights are normal with deviation √(2/out); only the first `coordinates` of the `in_dim` inputs are read,
    also where a skip layer reads them again. The output weights are normal around √(π/in).
    """
    drawn = []
    for k, (outs, ins) in enumerate(shapes):
        last = k == len(shapes) - 1
        mean, deviation = (math.sqrt(math.pi / ins), 1e-5) if last else (0.0, math.sqrt(2 / outs))
        weight = torch.empty(outs, ins).normal_(mean, deviation, generator=generator)
        if k == 0 or k in skip:
            weight[:, ins - in_dim + coordinates :] = 0
        drawn.append((weight, torch.zeros(outs)))
    return drawn


def fit_sphere(
    activation: Activation, layers: Sequence[Layer], radius: float, coordinates: int, generator: torch.Generator
) -> tuple[Float[Tensor, " width"], float]:
    """Output weights and bias of channel 0, moved from the drawn ones just so far that |x| - radius is met.

    The draw alone misses radius and slope by some per cent, a soft activation by more (every unit adds its value at
    0), and a narrow network is dented: at width 64 its zero set strays by a third of the radius. So the drawn weights
    are scaled to a mean slope of 1, a ridge regression takes most of the dents out, and the bias centres the rest.
    """
    direction = torch.randn(FIT_DIRECTIONS, coordinates, generator=generator)
    x = torch.zeros(FIT_DIRECTIONS, layers[0].input.shape[1])
    x[:, :coordinates] = radius * direction / direction.norm(dim=1, keepdim=True)
    shells = [last_hidden(activation, layers, t * x).double() for t in (0.5, 1.0, 1.5)]
    drawn = layers[-1].hidden[0].double()
    inner, middle, outer = (float((h @ drawn).mean()) for h in shells)
    weight = drawn * radius / (outer - inner)

    h = torch.cat(shells)
    distance = radius * torch.tensor([-0.5, 0.0, 0.5], dtype=h.dtype).repeat_interleave(FIT_DIRECTIONS)
    stiffness = FIT_RIDGE * len(h) * h.square().mean() * torch.eye(h.shape[1], dtype=h.dtype)
    dents = distance - h @ weight + middle * radius / (outer - inner)
    weight += torch.linalg.solve(h.t() @ h + stiffness, h.t() @ dents)
    return weight.to(layers[-1].hidden.dtype), -float((shells[1] @ weight).mean())


def _within(bound: float, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)
