"""The structural dissimilarity of images as a loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from neuralfw.components import Build, Loss, Quantities
from neuralfw.threads import numba_threads

from .kernels.ssim import room_for, ssim, window
from .render_config import DssimConfig

_WINDOW = window()
_rooms = {"ssim": np.empty(0, np.float32)}
"""Memory that is kept from call to call: touching fresh pages costs more than the sums."""


class Dssim(Loss):
    """1 - SSIM, mean over pixels and channels; pixels that are not `valid` do not count.

    Wang et al. 2004, with 11 × 11 Gaussian windows, σ = 1.5, zero padding, as in 3D Gaussian splatting
    (arXiv 2308.04079, eq. 7).
    """

    def __init__(self, config: DssimConfig, build: Build) -> None:
        super().__init__(config, build)

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        rgb, photographs = outputs["rgb"], batch["rgb"]
        valid = batch["valid"] if "valid" in batch else torch.ones_like(rgb[..., 0], dtype=torch.bool)
        share = valid.to(rgb.dtype)
        count = 3.0 * share.sum().clamp_min(1.0)
        pairs = zip(rgb, photographs, share / count, strict=True)
        similar = torch.stack([similarity(a, b, s) for a, b, s in pairs]).sum()
        return valid.any().to(rgb.dtype) - similar


def similarity(a: Float[Tensor, "h w 3"], b: Float[Tensor, "h w 3"], share: Float[Tensor, "h w"]) -> Float[Tensor, ""]:
    """Return the sum over pixels and channels of share × SSIM, differentiable in a."""
    if a.device.type != "cpu":
        return plain(a, b, share)
    value: Float[Tensor, ""] = _Similarity.apply(a, b, share)  # type: ignore[no-untyped-call]
    return value


class _Similarity(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, share: Tensor) -> Tensor:
        planes = [np.ascontiguousarray(image.detach().float().permute(2, 0, 1).numpy()) for image in (a, b)]
        gradient = np.empty_like(planes[0])
        by_row = np.empty(planes[0].shape[0] * planes[0].shape[1], np.float32)
        if len(_rooms["ssim"]) < room_for(*gradient.shape):
            _rooms["ssim"] = np.empty(room_for(*gradient.shape), np.float32)
        shares = np.ascontiguousarray(share.detach().float().numpy())
        with numba_threads():
            ssim(*planes, _WINDOW, shares, _rooms["ssim"], by_row, gradient)
        ctx.gradient = torch.from_numpy(gradient).permute(1, 2, 0)
        return torch.tensor(by_row.sum(dtype=np.float64), dtype=a.dtype)

    @staticmethod
    def backward(ctx: Any, d_value: Tensor) -> Any:
        return d_value * ctx.gradient, None, None


def plain(a: Float[Tensor, "h w 3"], b: Float[Tensor, "h w 3"], share: Float[Tensor, "h w"]) -> Float[Tensor, ""]:
    """Return the same by ordinary convolutions: for other devices, and the twin of the kernel in tests."""
    row = torch.from_numpy(_WINDOW).to(a)
    kernel = (row[:, None] * row[None, :]).expand(15, 1, 11, 11)
    x, y = a.permute(2, 0, 1), b.permute(2, 0, 1)
    filtered = torch.nn.functional.conv2d(torch.cat([x, y, x * x, y * y, x * y])[None], kernel, padding=5, groups=15)
    u, v, xx, yy, xy = filtered[0].split(3)
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * u * v + c1) * (2 * (xy - u * v) + c2)
    bottom = (u * u + v * v + c1) * (xx - u * u + yy - v * v + c2)
    similar: Float[Tensor, ""] = (top / bottom * share).sum()
    return similar
