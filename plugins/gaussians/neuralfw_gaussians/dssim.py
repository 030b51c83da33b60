"""The structural dissimilarity of images as a loss, alone and together with their absolute difference."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from neuralfw.components import Build, Loss, Quantities
from neuralfw.threads import numba_threads

from .kernels.ssim import compare, window
from .render_config import DssimConfig, L1DssimConfig

_WINDOW = window()


class Dssim(Loss):
    """1 - SSIM, mean over pixels and channels; pixels that are not `valid` do not count.

    Wang et al. 2004, with 11 × 11 Gaussian windows, σ = 1.5, zero padding, as in 3D Gaussian splatting
    (arXiv 2308.04079, eq. 7).
    """

    def __init__(self, config: DssimConfig, build: Build) -> None:
        super().__init__(config, build)

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        return _apart(outputs, batch, 0.0)


class L1Dssim(Loss):
    """(1 - s) |rgb - photograph| + s (1 - SSIM), mean over pixels and channels (arXiv 2308.04079, eq. 7, with s = 0.2).

    The same as `l1` with weight 1 - s and `dssim` with weight s, in one pass over the images.
    """

    def __init__(self, config: L1DssimConfig, build: Build) -> None:
        super().__init__(config, build)
        self._share = config.share

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        return self._share * _apart(outputs, batch, (1.0 - self._share) / self._share)


def _apart(outputs: Quantities, batch: Quantities, difference: float) -> Float[Tensor, ""]:
    """Return the mean of 1 - SSIM + difference × |rgb - photograph| over pixels and channels that are valid."""
    rgb, photographs = outputs["rgb"], batch["rgb"]
    valid = batch["valid"] if "valid" in batch else torch.ones_like(rgb[..., 0], dtype=torch.bool)
    share = valid.to(rgb.dtype)
    count = 3.0 * share.sum().clamp_min(1.0)
    pairs = zip(rgb, photographs, share / count, strict=True)
    similar = sum((similarity(a, b, s, difference) for a, b, s in pairs), start=rgb.new_zeros(()))
    return valid.any().to(rgb.dtype) - similar


def similarity(
    a: Float[Tensor, "h w 3"], b: Float[Tensor, "h w 3"], share: Float[Tensor, "h w"], difference: float = 0.0
) -> Float[Tensor, ""]:
    """Return the sum over pixels and channels of share × (SSIM - difference × |a - b|), differentiable in a."""
    if a.device.type != "cpu":
        return plain(a, b, share, difference)
    value: Float[Tensor, ""] = _Similarity.apply(a, b, share, difference)  # type: ignore[no-untyped-call]
    return value


class _Similarity(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, share: Tensor, difference: float) -> Tensor:
        height, width, channels = a.shape
        first, second, shares = (image.detach().float().contiguous().numpy() for image in (a, b, share))
        gradient, by_row = np.empty((height, width * channels), np.float32), np.empty(height, np.float32)
        rows = (image.reshape(height, -1) for image in (first, second))
        with numba_threads() as threads:
            compare(*rows, channels, _WINDOW, shares, np.float32(difference), 2 * threads, by_row, gradient)
        ctx.gradient = torch.from_numpy(gradient).view(a.shape)
        return torch.tensor(by_row.sum(dtype=np.float64), dtype=a.dtype)

    @staticmethod
    def backward(ctx: Any, d_value: Tensor) -> Any:
        return d_value * ctx.gradient, None, None, None


def plain(
    a: Float[Tensor, "h w 3"], b: Float[Tensor, "h w 3"], share: Float[Tensor, "h w"], difference: float = 0.0
) -> Float[Tensor, ""]:
    """Return the same by ordinary convolutions: for other devices, and the twin of the kernel in tests."""
    row = torch.from_numpy(_WINDOW).to(a)
    kernel = (row[:, None] * row[None, :]).expand(15, 1, 11, 11)
    x, y = a.permute(2, 0, 1), b.permute(2, 0, 1)
    filtered = torch.nn.functional.conv2d(torch.cat([x, y, x * x, y * y, x * y])[None], kernel, padding=5, groups=15)
    u, v, xx, yy, xy = filtered[0].split(3)
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * u * v + c1) * (2 * (xy - u * v) + c2)
    bottom = (u * u + v * v + c1) * (xx - u * u + yy - v * v + c2)
    alike = top / bottom if difference == 0.0 else top / bottom - difference * (x - y).abs()
    similar: Float[Tensor, ""] = (alike * share).sum()
    return similar
