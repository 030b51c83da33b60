"""What acts must hold: integrators carry, updates learn and go on where they stopped."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ..contracts import check_resume
from ..kit import check
from ..subject import NotBuilt, Subject

TURN = 1.0
"""Angle of the turn, radians."""


def _turning(x: Float[Tensor, "n 3"], t: Float[Tensor, " n"]) -> Float[Tensor, "n 3"]:
    return TURN * torch.stack([-x[:, 1], x[:, 0], torch.zeros_like(x[:, 0])], dim=1)


@check("integrator")
def it_carries(subject: Subject) -> None:
    """Carried by a turning velocity, points turn."""
    x = torch.tensor([[1.0, 0.0, 0.5], [0.0, -0.4, 0.2]], dtype=torch.float64)
    path = subject.build()(_turning, x, 0.0, 1.0)
    assert torch.equal(path.points[0], x), "the trajectory does not begin where the points are"
    assert float(path.times[0]) == 0.0 and float(path.times[-1]) == 1.0, "the trajectory's times are not 0 to 1"
    angle = torch.tensor(TURN, dtype=torch.float64)
    turned = torch.stack(
        [x[:, 0] * angle.cos() - x[:, 1] * angle.sin(), x[:, 0] * angle.sin() + x[:, 1] * angle.cos(), x[:, 2]], dim=1
    )
    off = float((path.end - turned).norm(dim=1).max())
    assert off < 0.2, f"after a turn of one radian the points are off by {off:.3g}"


@check("integrator")
def it_stays_where_nothing_moves(subject: Subject) -> None:
    """Without velocity nothing moves, forward or backward."""
    x = torch.tensor([[0.3, -0.2, 0.1]], dtype=torch.float64)
    for ends in ((0.0, 1.0), (1.0, 0.0)):
        end = subject.build()(lambda x, t: torch.zeros_like(x), x, *ends).end
        assert torch.equal(end, x), "points move without velocity"


@check("integrator")
def it_is_differentiable(subject: Subject) -> None:
    """A gradient goes from where points end to where they began."""
    x = torch.tensor([[0.3, -0.2, 0.1]], dtype=torch.float64, requires_grad=True)
    end = subject.build()(_turning, x, 0.0, 1.0).end
    assert end.requires_grad, "the end carries no graph"
    (slope,) = torch.autograd.grad(end.sum(), x)
    assert bool(slope.any()) and bool(slope.isfinite().all()), "no gradient reaches the beginning"


@check("update")
def it_goes_on_where_it_stopped(subject: Subject) -> None:
    """A run that is stopped and resumed ends bit for bit as one that is not."""
    from ...mixing.combinations import Mixing, shipped_bases

    tried = (found for base in shipped_bases() for found in Mixing(base).having("update", subject.component))
    fitting = next((combination for combination in tried if not combination.reason), None)
    if fitting is None:
        raise NotBuilt("no small recipe takes this update")
    with tempfile.TemporaryDirectory() as folder:
        check_resume(fitting.recipe, fitting.overrides, Path(folder), after=8)
