"""Real spherical harmonics up to degree 3, with the signs that 3D Gaussian splatting stores (arXiv 2308.04079)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from .kernels.harmonics import Y0, Y1, Y2, Y3


def basis(directions: Float[Tensor, "n 3"], count: int) -> Float[Tensor, "n k"]:
    """Return the first `count` harmonics (1, 4, 9 or 16) of unit directions, those from the camera to a point."""
    x, y, z = directions.unbind(dim=1)
    found = [torch.full_like(x, Y0), -Y1 * y, Y1 * z, -Y1 * x]
    found += [Y2[0] * x * y, Y2[1] * y * z, Y2[2] * (2 * z * z - x * x - y * y), Y2[3] * x * z, Y2[4] * (x * x - y * y)]
    found += [Y3[0] * y * (3 * x * x - y * y), Y3[1] * x * y * z, Y3[2] * y * (4 * z * z - x * x - y * y)]
    found += [Y3[3] * z * (2 * z * z - 3 * x * x - 3 * y * y), Y3[4] * x * (4 * z * z - x * x - y * y)]
    found += [Y3[5] * z * (x * x - y * y), Y3[6] * x * (x * x - 3 * y * y)]
    return torch.stack(found[:count], dim=1)


def shown(sh: Float[Tensor, "n k 3"], directions: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """Return the colours ½ + Σ Y_l k_l, at least 0, that coefficients show in unit directions from the camera."""
    return (torch.einsum("nk,nkc->nc", basis(directions, sh.shape[1]), sh) + 0.5).clamp_min(0.0)
