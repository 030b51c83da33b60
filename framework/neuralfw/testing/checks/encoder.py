"""What encoders must hold."""

from __future__ import annotations

import torch

from ..contracts import check_encoder
from ..kit import check
from ..subject import Subject


@check("encoder")
def encoder_contract(subject: Subject) -> None:
    """Width as declared, finite up to the corners, pullback the transposed Jacobian and differentiable."""
    check_encoder(subject.build())


@check("encoder")
def coordinates_outside(subject: Subject) -> None:
    """Coordinates out of [-1, 1] give finite features too."""
    encoder = subject.build()
    assert encoder(torch.full((2, 3), 1.5)).isfinite().all(), "features out of [-1, 1] are not finite"


@check("encoder")
def rows_alone(subject: Subject) -> None:
    """A point's features do not depend on the other points."""
    encoder = subject.build().double()
    x = torch.linspace(-0.9, 0.9, 30, dtype=torch.float64).reshape(10, 3)
    torch.testing.assert_close(torch.cat([encoder(x[:4]), encoder(x[4:])]), encoder(x))
