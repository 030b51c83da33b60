"""Activation functions with the two derivatives that the sweeps need."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from neuralfw.errors import UserError

NAMES = ("softplus", "relu", "sine", "tanh", "silu")
STEEPEST_SILU = 1.09983933  # σ(z) (1 + z (1 - σ(z))) at its maximum, z = 2.39936, rounded up
SMALLEST_SLOPE = 1e-20  # a slope of exactly 0 could not be divided out again where the curvature is not 0


class Activated(NamedTuple):
    """The value of an activation and what its derivatives are computed from.

    `auxiliary` is σ(βz) for softplus, cos(ωz) for sine, z for silu, and the value itself for relu and tanh.
    """

    value: Float[Tensor, "n width"]
    auxiliary: Float[Tensor, "n width"]


@dataclass(frozen=True)
class Activation:
    """An activation φ by name, with the sharpness β of softplus and the frequency ω of sine.

    Calling it is plain differentiable torch. `evaluate`, `slope` and `bend` are the same function for sweeps
    that differentiate by hand: φ, φ' and φ''/φ'. The second derivative of relu is 0.
    """

    name: str
    beta: float = 100.0
    omega: float = 30.0

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise UserError(f"activation {self.name!r} is unknown: choose one of {', '.join(NAMES)}")
        if self.beta <= 0 or self.omega <= 0:
            raise UserError(f"beta and omega must be positive, not {self.beta} and {self.omega}")

    def __call__(self, z: Tensor) -> Tensor:
        match self.name:
            case "softplus":
                return functional.softplus(z, beta=self.beta)
            case "relu":
                return functional.relu(z)
            case "sine":
                return torch.sin(self.omega * z)
            case "tanh":
                return torch.tanh(z)
            case _:
                return functional.silu(z)

    @property
    def steepest(self) -> float:
        """The largest |φ'|, hence the Lipschitz constant of φ."""
        return {"sine": self.omega, "silu": STEEPEST_SILU}.get(self.name, 1.0)

    def derivatives(self, z: Float[Tensor, "n width"]) -> tuple[Tensor, Tensor, Tensor]:
        """φ(z), φ'(z) and φ''(z), each differentiable by autograd."""
        value = self(z)
        match self.name:
            case "softplus":
                s = torch.sigmoid(self.beta * z)
                return value, s, self.beta * s * (1 - s)
            case "relu":
                return value, (z > 0).to(z.dtype), torch.zeros_like(z)
            case "sine":
                return value, self.omega * torch.cos(self.omega * z), -(self.omega**2) * value
            case "tanh":
                slope = 1 - value.square()
                return value, slope, -2 * value * slope
            case _:
                s = torch.sigmoid(z)
                bell = s * (1 - s)
                return value, s + z * bell, bell * (2 + z * (1 - 2 * s))

    def evaluate(self, z: Float[Tensor, "n width"]) -> Activated:
        """φ(z) and what `slope` and `bend` need."""
        value = self(z)
        match self.name:
            case "softplus":
                return Activated(value, torch.sigmoid(self.beta * z))
            case "sine":
                return Activated(value, torch.cos(self.omega * z))
            case "silu":
                return Activated(value, z)
            case _:
                return Activated(value, value)

    def slope(self, at: Activated) -> Float[Tensor, "n width"]:
        """φ'(z); where φ'' may be non-zero, so is this."""
        match self.name:
            case "softplus":
                return at.auxiliary
            case "relu":
                return (at.value > 0).to(at.value.dtype)
            case "sine":
                return _not_zero(self.omega * at.auxiliary)
            case "tanh":
                return 1 - at.value.square()
            case _:
                s = torch.sigmoid(at.auxiliary)
                return _not_zero(s + at.value * (1 - s))

    def bend(self, at: Activated) -> Float[Tensor, "n width"]:
        """φ''(z)/φ'(z)."""
        match self.name:
            case "softplus":
                return self.beta * (1 - at.auxiliary)
            case "relu":
                return torch.zeros_like(at.value)
            case "sine":
                return -(self.omega**2) * at.value / self.slope(at)
            case "tanh":
                return -2 * at.value
            case _:
                s = torch.sigmoid(at.auxiliary)
                return s * (1 - s) * (2 + at.auxiliary * (1 - 2 * s)) / self.slope(at)


def _not_zero(slope: Tensor) -> Tensor:
    return torch.where(slope == 0, SMALLEST_SLOPE, slope)
