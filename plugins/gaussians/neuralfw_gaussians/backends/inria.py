"""Adapter to diff-gaussian-rasterization (Inria, non-commercial licence), of 2023 and of 2024, on CUDA devices."""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from neuralfw.errors import UserError

from ..contract import Image, Settings, Splats, View

_FAR = 100.0


def unavailable() -> str | None:
    """Say why the backend does not work here, or None."""
    if importlib.util.find_spec("diff_gaussian_rasterization") is None:
        return "diff-gaussian-rasterization is not installed: build it from its repository"
    return None if torch.cuda.is_available() else "diff-gaussian-rasterization needs a CUDA device"


def render(splats: Splats, view: View, settings: Settings, screen: Float[Tensor, "g 2"]) -> Image:
    """Return the image; see `neuralfw_gaussians.contract`.

    The package has three channels: alpha, depth and features are rendered as colours of further calls. It cuts at depth
    0.2 and takes the principal point of the Jacobian to be the image's centre.

    Raises:
        UserError: the installed version cannot do what is asked.
    """
    pose, count = view.world_to_camera, len(splats.means)
    depth = splats.means @ pose[2, :3] + pose[2, 3]
    ones = torch.ones_like(depth)
    columns = [ones, *([depth] if settings.depth else [])]
    columns += [] if settings.features is None else [*settings.features.unbind(dim=1)]
    columns += [ones] * (-len(columns) % 3)
    pixels = torch.zeros(count, 3, device=pose.device, requires_grad=torch.is_grad_enabled())
    if pixels.requires_grad:
        pixels.register_hook(lambda gradient: screen[:, 0].add_(gradient[:, :2].norm(dim=1)) is None)
    rgb, radii = _call(splats, view, settings, pixels, shs=splats.sh)
    others = torch.zeros_like(pixels)
    more = [_call(splats, view, settings, others, colors_precomp=torch.stack(columns[k : k + 3], dim=1))[0]
            for k in range(0, len(columns), 3)]  # fmt: skip
    values = torch.cat(more, dim=2)
    extra = 2 if settings.depth else 1
    features = None if settings.features is None else values[..., extra : extra + settings.features.shape[1]]
    return Image(rgb, values[..., 0], values[..., 1] if settings.depth else None, features, radii.float())


def _call(splats: Splats, view: View, settings: Settings, pixels: Tensor, **colors: Tensor) -> tuple[Tensor, Tensor]:
    """Return an image (h, w, 3) and the radii."""
    from diff_gaussian_rasterization import (  # type: ignore[import-not-found]
        GaussianRasterizationSettings,
        GaussianRasterizer,
    )

    pose = view.world_to_camera
    fx, fy, cx, cy = view.intrinsics.tolist()
    projection = torch.zeros(4, 4, device=pose.device)
    projection[0, 0], projection[0, 2] = 2 * fx / view.width, 2 * cx / view.width - 1
    projection[1, 1], projection[1, 2] = 2 * fy / view.height, 2 * cy / view.height - 1
    near = 0.01
    projection[2, 2], projection[2, 3], projection[3, 2] = _FAR / (_FAR - near), -_FAR * near / (_FAR - near), 1.0
    options: dict[str, Any] = {
        "image_height": view.height,
        "image_width": view.width,
        "tanfovx": 0.5 * view.width / fx,
        "tanfovy": 0.5 * view.height / fy,
        "bg": torch.zeros(3, device=pose.device),
        "scale_modifier": 1.0,
        "viewmatrix": pose.T.contiguous(),
        "projmatrix": (projection @ pose).T.contiguous(),
        "sh_degree": round(splats.sh.shape[1] ** 0.5) - 1,
        "campos": -pose[:3, :3].T @ pose[:3, 3],
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
    image, radii, *_ = GaussianRasterizer(GaussianRasterizationSettings(**options))(
        means3D=splats.means, means2D=pixels, opacities=splats.opacities[:, None], scales=splats.scales,
        rotations=splats.rotations, **colors,
    )  # fmt: skip
    return image.permute(1, 2, 0), radii
