"""How near a rendered image comes to a photograph: PSNR, SSIM, LPIPS. Colours in [0, 1]."""

from __future__ import annotations

import importlib
import importlib.util
import math
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from neuralfw.errors import UserError

WINDOW = 11
SIGMA = 1.5
_BACKBONE = "vgg16-397923af.pth"


class Unavailable(Exception):
    """A metric cannot be computed on this machine; the message says why."""


def psnr(
    image: Float[Tensor, "h w 3"], photograph: Float[Tensor, "h w 3"], where: Bool[Tensor, "h w"] | None = None
) -> float:
    """-10 log10 of the mean squared difference over pixels and channels, in dB; inf where the two are equal.

    Args:
        image: what was rendered; its colours are clamped to [0, 1].
        photograph: the truth.
        where: the pixels that count; NaN where there are none.
    """
    difference = (image.clamp(0.0, 1.0) - photograph).double()
    error = float((difference if where is None else difference[where]).square().mean())
    return math.inf if error == 0.0 else -10.0 * math.log10(error)


def ssim_map(image: Float[Tensor, "h w 3"], photograph: Float[Tensor, "h w 3"]) -> Float[Tensor, "inner_h inner_w"]:
    """Structural similarity (Wang et al. 2004) around each pixel, mean over channels.

    The window is a Gaussian of 11 × 11 pixels with sigma 1.5, moments are the population's, K1 = 0.01, K2 = 0.03. Only
    windows inside the image are taken, so the result is 10 pixels smaller each way: nothing is padded, as in the paper
    and in scikit-image (`gaussian_weights=True, sigma=1.5, use_sample_covariance=False`), whereas the code of 3D
    Gaussian splatting pads with zeros.

    Raises:
        UserError: an image smaller than the window.
    """
    if min(image.shape[:2]) < WINDOW:
        raise UserError(f"SSIM needs images of at least {WINDOW} x {WINDOW} pixels, not {tuple(image.shape[:2])}.")
    a, b = (x.permute(2, 0, 1).double() for x in (image.clamp(0.0, 1.0), photograph))
    mean_a, mean_b = _blur(a), _blur(b)
    variance_a, variance_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    alike = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    scale = (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    return (alike / scale).mean(dim=0)


def ssim(
    image: Float[Tensor, "h w 3"], photograph: Float[Tensor, "h w 3"], where: Bool[Tensor, "h w"] | None = None
) -> float:
    """Mean structural similarity over the windows inside the image; see `ssim_map`.

    Args:
        image: what was rendered; its colours are clamped to [0, 1].
        photograph: the truth.
        where: the pixels that count: elsewhere the two are taken to be equal, and no window is centred there.
    """
    if where is None:
        return float(ssim_map(image, photograph).mean())
    inner = where[WINDOW // 2 : -(WINDOW // 2), WINDOW // 2 : -(WINDOW // 2)]
    return float(ssim_map(torch.where(where[..., None], image, photograph), photograph)[inner].mean())


def _blur(x: Float[Tensor, "c h w"]) -> Float[Tensor, "c inner_h inner_w"]:
    gauss = torch.exp(-0.5 * ((torch.arange(WINDOW).double() - WINDOW // 2) / SIGMA) ** 2)
    weights = (gauss / gauss.sum()).tolist()
    for axis in (1, 2):
        size = x.shape[axis] - WINDOW + 1
        x = sum((w * x.narrow(axis, k, size) for k, w in enumerate(weights)), x.new_zeros(()))
    return x


def lpips(image: Float[Tensor, "h w 3"], photograph: Float[Tensor, "h w 3"]) -> float:
    """Learned perceptual distance (Zhang et al. 2018), version 0.1 with VGG-16, as splatting papers give it.

    Raises:
        Unavailable: the package `lpips` or the network's weights are not at hand; nothing is downloaded.
    """
    network = _network()
    a, b = (2.0 * x.permute(2, 0, 1)[None].float().cpu() - 1.0 for x in (image.clamp(0.0, 1.0), photograph))
    with torch.no_grad():
        return float(network(a, b))


@cache
def _network() -> nn.Module:
    if importlib.util.find_spec("lpips") is None:
        raise Unavailable("the package lpips is not installed: pip install lpips")
    weights = Path(torch.hub.get_dir()) / "checkpoints" / _BACKBONE
    if not weights.is_file():
        raise Unavailable(f"the weights of its network are not at {weights}; torchvision's vgg16 downloads them there")
    network: nn.Module = importlib.import_module("lpips").LPIPS(net="vgg", version="0.1", verbose=False).eval()
    return network.requires_grad_(False)
