"""Adapter to diff-gaussian-rasterization (Inria, non-commercial licence), of 2023 and later, on CUDA devices.

The package knows three channels, one near plane and no gradient of the camera. So colours and covariances are made
here, in the camera's axes and enlarged until both near planes agree, and alpha, depth and features are the colours of
further calls. It takes the principal point to be the image's centre where it linearises the projection.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from neuralfw.errors import UserError

from ..contract import NEAR, Image, Settings, Splats, View
from ..rotations import axes
from .plain import colors

_ITS_NEAR, _ITS_FAR = 0.2, 100.0


def unavailable() -> str | None:
    """Say why the backend does not work here, or None."""
    if importlib.util.find_spec("diff_gaussian_rasterization") is None:
        return "diff-gaussian-rasterization is not installed: build it from its repository"
    return None if torch.cuda.is_available() else "diff-gaussian-rasterization needs a CUDA device"


def render(splats: Splats, view: View, settings: Settings, screen: Float[Tensor, "g 2"]) -> Image:
    """Return the image; see `neuralfw_gaussians.contract`. Absolute sums are not to be had and stay 0.

    Raises:
        UserError: the installed version cannot do what is asked.
    """
    from diff_gaussian_rasterization import GaussianRasterizer  # type: ignore[import-not-found]

    size = _ITS_NEAR / NEAR
    R, t = view.world_to_camera[:3, :3], view.world_to_camera[:3, 3]
    means = splats.means @ R.T + t
    A = size * R @ axes(splats.rotations) * splats.scales[:, None, :]
    rows, columns = torch.triu_indices(3, 3)
    covariances = (A @ A.transpose(1, 2))[:, rows, columns]
    depth = means[:, 2:]
    values = torch.cat([
        colors(splats, view),
        torch.ones_like(depth),
        *([depth] if settings.depth else []),
        *([] if settings.features is None else [settings.features]),
    ], dim=1)  # fmt: skip
    shown = torch.nn.functional.pad(values, (0, -values.shape[1] % 3))
    centers = _Centers.apply(means, screen)  # type: ignore[no-untyped-call]
    rasterizer, images = GaussianRasterizer(_settings(view, settings)), []
    for three in shown.split(3, dim=1):
        image, radii, *_ = rasterizer(
            means3D=size * means,
            means2D=centers,
            opacities=splats.opacities[:, None],
            colors_precomp=three.contiguous(),
            cov3D_precomp=covariances,
        )
        images.append(image)
    image = torch.cat(images).permute(1, 2, 0)
    first = 5 if settings.depth else 4
    return Image(
        rgb=image[..., :3],
        alpha=image[..., 3],
        depth=image[..., 4] if settings.depth else None,
        features=None if settings.features is None else image[..., first : values.shape[1]],
        radii=radii.float(),
    )


class _Centers(torch.autograd.Function):
    """Zeros whose gradient the package makes that of the centres on the screen; it goes to `screen`."""

    @staticmethod
    def forward(ctx: Any, means: Float[Tensor, "g 3"], screen: Float[Tensor, "g 2"]) -> Float[Tensor, "g 3"]:
        ctx.screen = screen
        return torch.zeros_like(means)

    @staticmethod
    def backward(ctx: Any, gradient: Float[Tensor, "g 3"]) -> Any:
        ctx.screen[:, 0] += gradient[:, :2].norm(dim=1)
        return None, None


def _settings(view: View, settings: Settings) -> Any:
    """Return the package's settings for a camera at the origin; what they are called tells its version."""
    from diff_gaussian_rasterization import GaussianRasterizationSettings

    device = view.world_to_camera.device
    fx, fy, cx, cy = view.intrinsics.tolist()
    slope = _ITS_FAR / (_ITS_FAR - _ITS_NEAR)
    projection = torch.tensor([
        [2.0 * fx / view.width, 0.0, 2.0 * cx / view.width - 1.0, 0.0],
        [0.0, 2.0 * fy / view.height, 2.0 * cy / view.height - 1.0, 0.0],
        [0.0, 0.0, slope, -slope * _ITS_NEAR],
        [0.0, 0.0, 1.0, 0.0],
    ], device=device)  # fmt: skip
    options: dict[str, Any] = {
        "image_height": view.height,
        "image_width": view.width,
        "tanfovx": 0.5 * view.width / fx,
        "tanfovy": 0.5 * view.height / fy,
        "bg": torch.zeros(3, device=device),
        "scale_modifier": 1.0,
        "viewmatrix": torch.eye(4, device=device),
        "projmatrix": projection.T.contiguous(),
        "sh_degree": 0,
        "campos": torch.zeros(3, device=device),
        "prefiltered": False,
        "debug": False,
    }
    known = GaussianRasterizationSettings._fields
    if "antialiasing" in known:
        options["antialiasing"] = settings.antialiased
    elif settings.antialiased:
        raise UserError("the installed diff-gaussian-rasterization has no antialiasing: take backend gsplat or cpu")
    if unknown := [name for name in known if name not in options]:
        raise UserError(f"the installed diff-gaussian-rasterization wants unknown settings: {', '.join(unknown)}")
    return GaussianRasterizationSettings(**options)
