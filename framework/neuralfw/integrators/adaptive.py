"""The method of Dormand and Prince, which chooses its steps by their error."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..components import Build, Integrator, Trajectory, Velocity
from ..errors import UserError
from .config import AdaptiveConfig
from .fixed import at

_NODES = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_STAGES = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
_SAFETY, _SLOWEST, _FASTEST, _ORDER = 0.9, 0.2, 5.0, 5


class Adaptive(Integrator):
    """Order 5(4) (Dormand and Prince 1980): a step is taken where the worst point's error is within bounds.

    All points share the steps, so that they are carried together; the last slope of a step is the first of the next.
    """

    def __init__(self, config: AdaptiveConfig, build: Build) -> None:
        super().__init__(config, build)
        self._config = config

    def __call__(self, velocity: Velocity, x: Float[Tensor, "n 3"], t0: float, t1: float) -> Trajectory:
        times, points, t, h = [t0], [x], t0, (t1 - t0) / 8.0
        slope = velocity(x, at(x, t0))
        for _ in range(self._config.most):
            if abs(t1 - t) <= 1e-12 * max(1.0, abs(t1)):
                return Trajectory(torch.tensor(times, dtype=x.dtype, device=x.device), torch.stack(points))
            h = h if abs(h) < abs(t1 - t) else t1 - t
            moved, last, error = self._try(velocity, points[-1], t, h, slope)
            if error <= 1.0:
                t, slope = t + h, last
                times.append(t)
                points.append(moved)
            h *= min(_FASTEST, max(_SLOWEST, _SAFETY * max(error, 1e-12) ** (-1.0 / _ORDER)))
        raise UserError(
            f"integrator adaptive: time {t:.4g} after {self._config.most} steps: allow a larger error by relative and "
            "absolute, or use rk4"
        )

    def _try(
        self, velocity: Velocity, x: Float[Tensor, "n 3"], t: float, h: float, slope: Float[Tensor, "n 3"]
    ) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"], float]:
        """Return the points after a step, the velocity there and the error, 1 being the largest that is allowed."""
        slopes, moved = [slope], x
        for node, weights in zip(_NODES[1:], _STAGES[1:], strict=True):
            moved = x + h * sum(w * k for w, k in zip(weights, slopes, strict=True))
            slopes.append(velocity(moved, at(x, t + node * h)))
        with torch.no_grad():
            error = h * sum(w * k for w, k in zip(_ERROR, slopes, strict=True))
            allowed = self._config.absolute + self._config.relative * torch.maximum(x.abs(), moved.abs())
            worst = float((error / allowed).abs().max()) if x.numel() else 0.0
        return moved, slopes[-1], worst
