"""What encoders must hold."""

from __future__ import annotations

import torch

from ...config import encodes_time
from ..contracts import check_encoder
from ..kit import check
from ..subject import Subject


@check("encoder")
def encoder_contract(subject: Subject) -> None:
    """Width as declared, finite up to the corners, pullback the transposed Jacobian and differentiable."""
    check_encoder(subject.build(), dimensions=_dimensions(subject))


@check("encoder")
def coordinates_outside(subject: Subject) -> None:
    """Coordinates out of [-1, 1] give finite features too."""
    encoder = subject.build()
    assert encoder(torch.full((2, _dimensions(subject)), 1.5)).isfinite().all(), (
        "features out of [-1, 1] are not finite"
    )


@check("encoder")
def rows_alone(subject: Subject) -> None:
    """A point's features do not depend on the other points."""
    encoder = subject.build().double()
    x = torch.linspace(-0.9, 0.9, 60, dtype=torch.float64).reshape(-1, _dimensions(subject))
    torch.testing.assert_close(torch.cat([encoder(x[:4]), encoder(x[4:])]), encoder(x))


def _dimensions(subject: Subject) -> int:
    return 4 if encodes_time(subject.spec) else 3
