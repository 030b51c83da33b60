"""A sphere on top of which a network that begins plainly begins as one."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class RoundStart:
    """sign · (√(|x - c|² + ε²) - radius), ε a fifth of the radius: a sphere about c without the kink there.

    A network of sines starts without a side; on top of a sphere it keeps the outside positive far from the data.
    """

    radius: float
    sign: float
    center: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def _from_center(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        return x - x.new_tensor(self.center)

    def _length(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        return (self._from_center(x).square().sum(dim=1) + (0.2 * self.radius) ** 2).sqrt()

    def value(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        return self.sign * (self._length(x) - self.radius)

    def gradient(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        return self.sign * self._from_center(x) / self._length(x)[:, None]
