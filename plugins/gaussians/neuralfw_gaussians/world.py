"""Gaussians from the training space to the world of their data, and back: what a file holds is in world units."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuralfw.geometry import Frame
from neuralfw.geometry.splats import Stored

from .kernels.harmonics import harmonics
from .rotations import product


def to_world(
    frame: Frame,
    means: Float[Tensor, "g 3"],
    scales: Float[Tensor, "g 3"],
    quaternions: Float[Tensor, "g 4"],
    opacity_logits: Float[Tensor, " g"],
    sh: Float[Tensor, "g k 3"],
) -> Stored:
    """Return Gaussians of the training space as a file of their world holds them."""
    quaternions, sh = _turned(frame.rotation.T, quaternions, sh)
    return Stored(
        means=frame.to_world(means.double().cpu().numpy()).astype(np.float32),
        log_scales=scales.log().cpu().numpy() - np.float32(math.log(frame.scale)),
        quaternions=quaternions.cpu().numpy(),
        opacity_logits=opacity_logits.cpu().numpy(),
        sh=sh.cpu().numpy(),
    )


def to_training(frame: Frame, stored: Stored) -> dict[str, Tensor]:
    """Return a file's Gaussians in the training space: means, log_scales, quaternions, opacity_logits, sh."""
    quaternions, sh = torch.from_numpy(stored.quaternions.copy()), torch.from_numpy(stored.sh.copy())
    quaternions, sh = _turned(frame.rotation, quaternions, sh)
    return {
        "means": torch.from_numpy(frame.to_training(stored.means.astype(np.float64))).float(),
        "log_scales": torch.from_numpy(stored.log_scales.copy()) + math.log(frame.scale),
        "quaternions": quaternions,
        "opacity_logits": torch.from_numpy(stored.opacity_logits.copy()),
        "sh": sh,
    }


def _turned(
    rotation: np.ndarray, quaternions: Float[Tensor, "g 4"], sh: Float[Tensor, "g k 3"]
) -> tuple[Float[Tensor, "g 4"], Float[Tensor, "g k 3"]]:
    """Return Gaussians' axes and harmonics after a rotation of space."""
    if np.array_equal(rotation, np.eye(3)):
        return quaternions, sh
    turn = torch.from_numpy(rotation.copy())
    turned = product(_quaternion(turn).to(quaternions), quaternions)
    return turned, torch.einsum("kl,glc->gkc", _turned_harmonics(turn, sh.shape[1]).to(sh), sh)


def _quaternion(rotation: Float[Tensor, "3 3"]) -> Float[Tensor, "4"]:
    """Return the unit quaternion of a rotation, by its largest component (Shepperd 1978)."""
    from scipy.spatial.transform import Rotation

    x, y, z, w = Rotation.from_matrix(rotation.numpy()).as_quat()
    return torch.tensor([w, x, y, z])


def _turned_harmonics(rotation: Float[Tensor, "3 3"], count: int) -> Float[Tensor, "k k"]:
    """Return the matrix that turns coefficients: f(d) becomes f(Rᵀd). Least squares on directions find it."""
    generator = torch.Generator().manual_seed(0)
    directions = nn.functional.normalize(torch.randn(256, 3, generator=generator, dtype=torch.float64), dim=1)

    def basis(of: Float[Tensor, "n 3"]) -> Float[Tensor, "n k"]:
        rows = np.empty((len(of), 16))
        for row, d in zip(rows, of.tolist(), strict=True):
            harmonics(count, *d, row)
        return torch.from_numpy(rows[:, :count])

    turned: Tensor = torch.linalg.lstsq(basis(directions), basis(directions @ rotation.double())).solution
    return turned
