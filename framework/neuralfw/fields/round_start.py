"""A sphere on top of which a network that begins plainly begins as one."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class RoundStart:
    """sign · (√(|x|² + ε²) - radius), ε a fifth of the radius: a sphere without the kink in its centre.

    A network of sines starts without a side; on top of a sphere it keeps the outside positive far from the data.
    """

    radius: float
    sign: float

    def _length(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        return (x.square().sum(dim=1) + (0.2 * self.radius) ** 2).sqrt()

    def value(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        return self.sign * (self._length(x) - self.radius)

    def gradient(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        return self.sign * x / self._length(x)[:, None]
