"""The readable twin of the CPU kernels: all Gaussians against all pixels in plain torch, gradients by autograd.

It is for tests and for reading: memory is Gaussians × pixels. It computes in the precision of its inputs.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..contract import NEAR, Image, Settings, Splats, View
from ..kernels.projection import DILATION
from ..kernels.raster import ALPHA_MAX, ALPHA_MIN, T_MIN
from ..rotations import axes
from ..sh import shown


def unavailable() -> str | None:
    """Say why the backend does not work here, or None."""
    return None


def render(splats: Splats, view: View, settings: Settings, screen: Float[Tensor, "g 2"]) -> Image:
    """Return the image; see `neuralfw_gaussians.contract`."""
    in_camera = splats.means @ view.world_to_camera[:3, :3].T + view.world_to_camera[:3, 3]
    pixels, covariance = project(splats, in_camera, view)
    before = torch.linalg.det(covariance)
    covariance = covariance + DILATION * torch.eye(2).to(covariance)
    opacities = splats.opacities
    if settings.antialiased:
        opacities = opacities * (before / torch.linalg.det(covariance)).clamp_min(2.5e-5).sqrt()
    reach = _reach(covariance, opacities)
    seen = (in_camera[:, 2] > NEAR) & _on_image(pixels, reach, view)
    order = torch.argsort(in_camera[:, 2].detach(), stable=True)
    order = order[seen[order]]

    channels = [colors(splats, view), *([in_camera[:, 2:]] if settings.depth else [])]
    channels += [] if settings.features is None else [settings.features]
    offsets = _centers(view).to(pixels) - pixels[order]
    weights, left = _weights(offsets, torch.linalg.inv(covariance[order]), opacities[order])
    image = torch.einsum("hwg,gc->hwc", weights, torch.cat(channels, dim=1)[order])
    if offsets.requires_grad:
        offsets.register_hook(lambda gradient: _fill(screen, gradient, order, view, settings))
    extra = 4 if settings.depth else 3
    return Image(
        rgb=image[..., :3],
        alpha=1.0 - left,
        depth=image[..., 3] if settings.depth else None,
        features=None if settings.features is None else image[..., extra:],
        radii=torch.where(seen, reach.amax(dim=1), 0.0).to(screen.dtype),
    )


def project(
    splats: Splats, in_camera: Float[Tensor, "g 3"], view: View
) -> tuple[Float[Tensor, "g 2"], Float[Tensor, "g 2 2"]]:
    """Return the Gaussians' centres and covariances on the image (EWA splatting, Zwicker 2002), not dilated."""
    fx, fy, cx, cy = view.intrinsics.to(in_camera.dtype)
    x, y, z = in_camera.unbind(dim=1)
    z = torch.where(z > NEAR, z, torch.ones_like(z))
    beyond_x, beyond_y = 0.3 * view.width / (2 * fx), 0.3 * view.height / (2 * fy)
    u = (x / z).clamp(-cx / fx - beyond_x, (view.width - cx) / fx + beyond_x)
    v = (y / z).clamp(-cy / fy - beyond_y, (view.height - cy) / fy + beyond_y)
    zero = torch.zeros_like(z)
    J = torch.stack([torch.stack([fx / z, zero, -fx * u / z], 1), torch.stack([zero, fy / z, -fy * v / z], 1)], 1)
    A = J @ view.world_to_camera[:3, :3] @ (axes(splats.rotations) * splats.scales[:, None, :])
    return torch.stack([fx * x / z + cx, fy * y / z + cy], dim=1), A @ A.transpose(1, 2)


def _reach(covariance: Float[Tensor, "g 2 2"], opacities: Float[Tensor, " g"]) -> Float[Tensor, "g 2"]:
    """Return how far, in x and in y, a Gaussian is not fainter than what is skipped; negative where it always is."""
    tau = 2.0 * (opacities / ALPHA_MIN).log().detach()
    reach = (tau.clamp_min(0.0)[:, None] * covariance.detach().diagonal(dim1=1, dim2=2)).sqrt()
    return torch.where(tau[:, None] > 0.0, reach, -1.0)


def _on_image(pixels: Float[Tensor, "g 2"], reach: Float[Tensor, "g 2"], view: View) -> Bool[Tensor, " g"]:
    """Say which Gaussians reach the centre of a pixel."""
    size = pixels.new_tensor([view.width, view.height])
    first = (pixels.detach() - reach - 0.5).ceil().clamp_min(0.0)
    end = ((pixels.detach() + reach + 0.5).floor()).minimum(size)
    return (first < end).all(dim=1)


def _centers(view: View) -> Float[Tensor, "h w 1 2"]:
    y, x = torch.meshgrid(torch.arange(view.height) + 0.5, torch.arange(view.width) + 0.5, indexing="ij")
    return torch.stack([x, y], dim=-1)[:, :, None]


def _weights(
    offsets: Float[Tensor, "h w g 2"], conics: Float[Tensor, "g 2 2"], opacities: Float[Tensor, " g"]
) -> tuple[Float[Tensor, "h w g"], Float[Tensor, "h w"]]:
    """Return the weight of each Gaussian in each pixel, nearest first, and the transmittance that is left."""
    power = -0.5 * torch.einsum("hwgi,gij,hwgj->hwg", offsets, conics, offsets)
    alpha = (opacities * power.exp()).clamp_max(ALPHA_MAX)
    alpha = torch.where(alpha >= ALPHA_MIN, alpha, torch.zeros_like(alpha))
    going = torch.cumprod(1.0 - alpha, dim=2).detach() >= T_MIN
    alpha = torch.where(going, alpha, torch.zeros_like(alpha))
    after = torch.cumprod(1.0 - alpha, dim=2)
    through = torch.cat([after.new_ones(*after.shape[:2], 1), after], dim=2)
    return alpha * through[..., :-1], through[..., -1]


def colors(splats: Splats, view: View) -> Float[Tensor, "g 3"]:
    """Return the colours in which a camera sees the Gaussians."""
    W = view.world_to_camera
    center = -W[:3, :3].T @ W[:3, 3]
    return shown(splats.sh, torch.nn.functional.normalize(splats.means - center, dim=1))


def _fill(
    screen: Float[Tensor, "g 2"],
    gradient: Float[Tensor, "h w n 2"],
    order: Int[Tensor, " n"],
    view: View,
    settings: Settings,
) -> None:
    """Add the lengths of the gradient in the projected means, and of its absolute sums, given that in each pixel."""
    half = gradient.new_tensor([0.5 * view.width, 0.5 * view.height])
    screen[order, 0] += (gradient.sum(dim=(0, 1)) * half).norm(dim=1).to(screen.dtype)
    if settings.absolute:
        screen[order, 1] += (gradient.abs().sum(dim=(0, 1)) * half).norm(dim=1).to(screen.dtype)
