"""Adapter to gsplat (Apache-2.0), on CUDA devices.

Quaternions are normalised inside, so their gradient has no radial part. Beyond 32 channels it renders in turns and
keeps the absolute sums of the last alone.
"""

from __future__ import annotations

import importlib
import importlib.util

import torch
from jaxtyping import Float
from torch import Tensor

from neuralfw.errors import UserError

from ..contract import NEAR, Image, Settings, Splats, View
from .plain import colors

_AT_ONCE = 32


def unavailable() -> str | None:
    """Say why the backend does not work here, or None."""
    if importlib.util.find_spec("gsplat") is None:
        return "gsplat is not installed: pip install gsplat"
    if not torch.cuda.is_available():
        return "gsplat needs a CUDA device"
    return None if _compiled() else "gsplat has no kernels: it finds no CUDA toolkit to build them (nvcc)"


def _compiled() -> bool:
    """Say whether gsplat has its extension, which it builds when first asked; without a compiler it is None."""
    try:
        return getattr(importlib.import_module("gsplat.cuda._backend"), "_C", None) is not None
    except ImportError:
        return False


def render(splats: Splats, view: View, settings: Settings, screen: Float[Tensor, "g 2"]) -> Image:
    """Return the image; see `neuralfw_gaussians.contract`."""
    from gsplat import rasterization  # type: ignore[import-not-found]

    values, degree = splats.sh, round(splats.sh.shape[1] ** 0.5) - 1
    if settings.features is not None:
        values, degree = torch.cat([colors(splats, view), settings.features], dim=1), None
    if settings.absolute and values.dim() == 2 and values.shape[1] + settings.depth > _AT_ONCE:
        raise UserError(f"gsplat has no absolute sums of more than {_AT_ONCE} channels: set densify's absolute = false")
    fx, fy, cx, cy = view.intrinsics.tolist()
    K = torch.tensor([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]], device=values.device)
    image, alpha, meta = rasterization(
        splats.means, splats.rotations, splats.scales, splats.opacities, values, view.world_to_camera[None], K[None],
        view.width, view.height, near_plane=NEAR, packed=False, sh_degree=degree,
        render_mode="RGB+D" if settings.depth else "RGB", absgrad=settings.absolute,
        rasterize_mode="antialiased" if settings.antialiased else "classic",
    )  # fmt: skip
    if meta["means2d"].requires_grad:
        _fill(screen, meta["means2d"], view, settings)
    count = 3 if settings.features is None else values.shape[1]
    return Image(
        rgb=image[0, ..., :3],
        alpha=alpha[0, ..., 0],
        depth=image[0, ..., count] if settings.depth else None,
        features=None if settings.features is None else image[0, ..., 3:count],
        radii=_largest(meta["radii"][0].float()),
    )


def _largest(radii: Float[Tensor, "g *axes"]) -> Float[Tensor, " g"]:
    """Return one radius for each Gaussian: from 1.5 on gsplat has one along each axis of the image."""
    return radii.amax(dim=1) if radii.dim() == 2 else radii


def _fill(screen: Float[Tensor, "g 2"], pixels: Tensor, view: View, settings: Settings) -> None:
    """Let the backward add to `screen`; gsplat's has written the absolute sums when that of the pixels is called."""
    half = torch.tensor([0.5 * view.width, 0.5 * view.height], device=pixels.device)

    def add(gradient: Tensor) -> None:
        screen[:, 0] += (gradient[0] * half).norm(dim=1)
        if settings.absolute:
            screen[:, 1] += (pixels.absgrad[0] * half).norm(dim=1)  # type: ignore[attr-defined]

    pixels.register_hook(add)
