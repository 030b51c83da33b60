"""Differential operators: exact derivatives of any function of points, and what is made of them.

`derivatives` takes any differentiable function of single points; networks give the same faster by `Mlp.jet`. The
other functions are algebra on a Jacobian ∇v with entries ∂vᵢ/∂xⱼ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from .nn.jet import Jet

Function = Callable[[Tensor], Tensor]


def derivatives(function: Function, x: Float[Tensor, "n d"], *, laplacian: bool = False) -> Jet:
    """Return value, Jacobian and, if asked for, Laplacian at points.

    Derivatives are taken in forward mode, along all axes in one evaluation; in reverse mode where the function holds
    operations that have no forward derivative, such as fused kernels. Both are exact and differentiable.

    Args:
        function: maps (n, d) to (n, c), each row by itself.
        x: points.
        laplacian: also sum the second derivatives.
    """
    try:
        return _forward(function, x, laplacian)
    except (NotImplementedError, RuntimeError):
        return _reverse(function, x, laplacian)


def _forward(function: Function, x: Tensor, laplacian: bool) -> Jet:
    """Push the unit vectors through the function, and for second derivatives through its derivative once more."""

    def push(f: Callable[[Tensor], Any], direction: Tensor) -> Any:
        return torch.func.jvp(f, (x,), (direction,))

    def along(axis: Tensor) -> tuple[Tensor, ...]:
        direction = axis.expand_as(x)
        if not laplacian:
            value, slope = push(function, direction)
            return value, slope
        (value, slope), (_, bend) = push(lambda y: torch.func.jvp(function, (y,), (direction,)), direction)
        return value, slope, bend

    axes = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    value, jacobian, *bends = torch.func.vmap(along)(axes)
    return Jet(value[0], jacobian, bends[0].sum(dim=0) if laplacian else None)


def _reverse(function: Function, x: Tensor, laplacian: bool) -> Jet:
    """Pull the unit vectors of the outputs back, and their derivatives once more."""
    recorded = torch.is_grad_enabled()
    with torch.enable_grad():
        x = x if x.requires_grad else x.detach().requires_grad_()
        value = function(x)
        rows = [*_rows(value, x).unbind(dim=1)]
        bends = None
        if laplacian:
            bends = torch.stack([divergence(_rows(row, x)) for row in rows], dim=1)
        jet = Jet(value, torch.stack(rows, dim=2).movedim(1, 0), bends)
    return jet if recorded else Jet(*(None if part is None else part.detach() for part in jet))  # type: ignore[arg-type]


def _rows(values: Float[Tensor, "n c"], x: Float[Tensor, "n d"]) -> Float[Tensor, "n c d"]:
    """Return the gradient of each channel."""
    if not values.requires_grad:
        return values.new_zeros(*values.shape, x.shape[1])
    pulled = (
        torch.autograd.grad(channel.sum(), x, create_graph=True, allow_unused=True, materialize_grads=True)[0]
        for channel in values.unbind(dim=1)
    )
    return torch.stack([*pulled], dim=1)


def divergence(jacobian: Float[Tensor, "n d d"]) -> Float[Tensor, " n"]:
    """Return ∇·v: the rate at which volume grows."""
    return jacobian.diagonal(dim1=-2, dim2=-1).sum(dim=-1)


def strain(jacobian: Float[Tensor, "n d d"]) -> Float[Tensor, "n d d"]:
    """Return D = ½(∇v + ∇vᵀ): the rate at which lengths change; 0 for rigid motions."""
    return 0.5 * (jacobian + jacobian.mT)


def shear(jacobian: Float[Tensor, "n d d"]) -> Float[Tensor, " n"]:
    """Return ½ tr(D²) − tr(D)²/2d: half the squared norm of the strain without its growth (4Deform, "distortion")."""
    trace = divergence(jacobian)
    return 0.5 * (strain(jacobian).square().sum(dim=(-2, -1)) - trace.square() / jacobian.shape[-1])


def normal_stretch(jacobian: Float[Tensor, "n d d"], normal: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """Return ⟨(∇v) n, n⟩ of unit vectors n: the rate at which lengths along n grow."""
    return torch.einsum("nij,ni,nj->n", jacobian, normal, normal)


def tangential_stretch(jacobian: Float[Tensor, "n 3 3"], normal: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3 3"]:
    """Return P(∇vᵀ∇v + ∇v + ∇vᵀ)P with P = I − nnᵀ: the change of the surface's metric under x + v (4Deform)."""
    along = torch.eye(3, dtype=normal.dtype, device=normal.device) - normal[:, :, None] * normal[:, None, :]
    return along @ (jacobian.mT @ jacobian + jacobian + jacobian.mT) @ along


def material_derivative(
    time_derivative: Float[Tensor, " n"], gradient: Float[Tensor, "n d"], velocity: Float[Tensor, "n d"]
) -> Float[Tensor, " n"]:
    """Return ∂f/∂t + v·∇f: the rate at which what a moving particle sees of f changes."""
    return time_derivative + (velocity * gradient).sum(dim=-1)


def level_set_residual(
    material_derivative: Float[Tensor, " n"],
    sdf: Float[Tensor, " n"],
    normal_stretch: Float[Tensor, " n"],
    strength: float = 1.0,
) -> Float[Tensor, " n"]:
    """Return ∂φ/∂t + v·∇φ − λ φ ⟨(∇v)n, n⟩, which is 0 where φ moves with v.

    With λ = `strength` = 1 the zero set moves as for λ = 0, and |∇φ| stays 1 on it (Fricke et al. 2022; Bothe et al.
    2024; the modified level-set equation of arXiv 2501.14038).
    """
    return material_derivative - strength * sdf * normal_stretch
