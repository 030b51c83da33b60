"""Gradients beside finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Derivative(NamedTuple):
    """How a value changes along a direction of one of its parameters.

    Attributes:
        exact: by the gradient.
        difference: by central differences.
        length: of the whole gradient.
    """

    exact: float
    difference: float
    length: float


def directional_derivatives(
    parameters: Sequence[Tensor], value: Callable[[], Float[Tensor, ""]], *, step: float = 1e-5
) -> list[Derivative]:
    """Return the derivative of a value along a random unit direction of each parameter, in both ways.

    Args:
        parameters: leaves, in double precision, that require gradients from here on.
        value: computes it anew.
        step: to either side, for the differences.
    """
    random = torch.Generator().manual_seed(0)
    for p in parameters:
        p.requires_grad_(True)
    found = []
    for p, gradient in zip(parameters, torch.autograd.grad(value(), [*parameters]), strict=True):
        g = gradient.to_dense() if gradient.is_sparse else gradient
        along = torch.randn(p.shape, generator=random, dtype=p.dtype)
        along /= along.norm()
        values = []
        for side in (step, -step):
            with torch.no_grad():
                p += side * along
                values.append(float(value()))
                p -= side * along
        found.append(Derivative(float((g * along).sum()), (values[0] - values[1]) / (2.0 * step), float(g.norm())))
    return found
