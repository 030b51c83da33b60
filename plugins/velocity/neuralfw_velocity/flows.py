"""Motions that are known in closed form, as a field: to move a shape as told, and to test what solves for it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from neuralfw.components import Build, Field, Quantities
from neuralfw.operators import derivatives

from .config import KnownFlowConfig


def translation(x: Float[Tensor, "n 3"], t: Float[Tensor, " n"]) -> Float[Tensor, "n 3"]:
    """Return 1 along the x axis."""
    return torch.stack([torch.ones_like(t), torch.zeros_like(t), torch.zeros_like(t)], dim=1)


def rotation(x: Float[Tensor, "n 3"], t: Float[Tensor, " n"]) -> Float[Tensor, "n 3"]:
    """Return a turn about the z axis, by one radian in the unit of time."""
    return torch.stack([-x[:, 1], x[:, 0], torch.zeros_like(t)], dim=1)


def twist(x: Float[Tensor, "n 3"], t: Float[Tensor, " n"]) -> Float[Tensor, "n 3"]:
    """Return a turn about the z axis by z radians; it keeps volumes."""
    return x[:, 2:] * rotation(x, t)


def enright(x: Float[Tensor, "n 3"], t: Float[Tensor, " n"]) -> Float[Tensor, "n 3"]:
    """Return LeVeque's deformation of the unit cube; three times as fast it stretches until ½ and is back at 1.

    Enright et al. 2002, *A Hybrid Particle Level Set Method*; the published time is 3 t. It keeps volumes.
    """
    s, d = torch.sin(math.pi * x).square(), torch.sin(2.0 * math.pi * x)
    parts = [2.0 * s[:, 0] * d[:, 1] * d[:, 2], -d[:, 0] * s[:, 1] * d[:, 2], -d[:, 0] * d[:, 1] * s[:, 2]]
    return torch.cos(math.pi * t)[:, None] * torch.stack(parts, dim=1)


FLOWS = {"translation": translation, "rotation": rotation, "twist": twist, "enright": enright}


class KnownFlow(Field):
    """A velocity that is given, in the training space; it learns nothing."""

    role = "velocity"

    def __init__(self, config: KnownFlowConfig, build: Build) -> None:
        super().__init__(config, build)
        self._flow, self._amount = FLOWS[config.flow], config.amount

    def forward(self, x: Float[Tensor, "n 3"], t: Float[Tensor, " n"]) -> Float[Tensor, "n 3"]:
        """Return the velocity at points and times."""
        return self._amount * self._flow(x, t)

    def evaluate(self, inputs: Mapping[str, Tensor], want: frozenset[str]) -> Quantities:
        x, t = inputs["points"], inputs["time"]
        if want <= {"velocity"}:
            return {"velocity": self(x, t)}
        jet = derivatives(lambda y: self(y, t), x, laplacian="velocity_laplacian" in want)
        found = {"velocity": jet.value, "velocity_jacobian": jet.jacobian.permute(1, 2, 0)}
        return found if jet.laplacian is None else {**found, "velocity_laplacian": jet.laplacian}
