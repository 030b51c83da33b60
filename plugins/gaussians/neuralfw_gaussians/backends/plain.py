"""The readable twin of the CPU kernels: all Gaussians against all pixels in plain torch, gradients by autograd.

It is for tests and for reading: memory is Gaussians × pixels. It computes in the precision of its inputs.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..contract import NEAR, Image, Settings, Splats, View
from ..kernels.harmonics import Y0, Y1, Y2, Y3
from ..kernels.projection import DILATION
from ..kernels.raster import ALPHA_MAX, ALPHA_MIN, T_MIN
from ..rotations import axes


def unavailable() -> str | None:
    """Say why the backend does not work here, or None."""
    return None


def render(splats: Splats, view: View, settings: Settings, screen: Float[Tensor, "g 2"]) -> Image:
    """Return the image; see `neuralfw_gaussians.contract`."""
    in_camera = splats.means @ view.world_to_camera[:3, :3].T + view.world_to_camera[:3, 3]
    pixels, covariance = project(splats, in_camera, view)
    _fill(screen, pixels, view)
    before = torch.linalg.det(covariance)
    covariance = covariance + DILATION * torch.eye(2, dtype=covariance.dtype)
    after = torch.linalg.det(covariance)
    opacities = splats.opacities
    if settings.antialiased:
        opacities = opacities * (before / after).clamp_min(2.5e-5).sqrt()
    seen = (in_camera[:, 2] > NEAR) & (opacities > ALPHA_MIN)
    order = torch.argsort(in_camera[:, 2].detach(), stable=True)
    order = order[seen[order]]

    channels = [_colors(splats, view), *([in_camera[:, 2:]] if settings.depth else [])]
    channels += [] if settings.features is None else [settings.features]
    weights, left = _weights(pixels[order], torch.linalg.inv(covariance[order]), opacities[order], view)
    image = torch.einsum("hwg,gc->hwc", weights, torch.cat(channels, dim=1)[order])
    extra = 4 if settings.depth else 3
    radii = torch.zeros_like(opacities)
    reach = (2.0 * (opacities / ALPHA_MIN).clamp_min(1.0).log()).sqrt()
    radii[order] = (reach * covariance.diagonal(dim1=1, dim2=2).amax(dim=1).sqrt())[order]
    return Image(
        rgb=image[..., :3],
        alpha=1.0 - left,
        depth=image[..., 3] if settings.depth else None,
        features=None if settings.features is None else image[..., extra:],
        radii=radii.detach(),
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


def _weights(
    pixels: Float[Tensor, "g 2"], conics: Float[Tensor, "g 2 2"], opacities: Float[Tensor, " g"], view: View
) -> tuple[Float[Tensor, "h w g"], Float[Tensor, "h w"]]:
    """Return the weight of each Gaussian in each pixel, nearest first, and the transmittance that is left."""
    y, x = torch.meshgrid(torch.arange(view.height) + 0.5, torch.arange(view.width) + 0.5, indexing="ij")
    offset = torch.stack([x, y], dim=-1)[:, :, None] - pixels
    power = -0.5 * torch.einsum("hwgi,gij,hwgj->hwg", offset, conics, offset)
    alpha = (opacities * power.exp()).clamp_max(ALPHA_MAX)
    alpha = torch.where(alpha >= ALPHA_MIN, alpha, torch.zeros_like(alpha))
    after = torch.cumprod(1.0 - alpha, dim=2)
    going = after.detach() >= T_MIN
    alpha = torch.where(going, alpha, torch.zeros_like(alpha))
    after = torch.cumprod(1.0 - alpha, dim=2)
    ones = torch.ones_like(after[..., :1])
    through = torch.cat([ones, after], dim=2)
    return alpha * through[..., :-1], through[..., -1]


def _colors(splats: Splats, view: View) -> Float[Tensor, "g 3"]:
    W = view.world_to_camera
    center = -W[:3, :3].T @ W[:3, 3]
    x, y, z = torch.nn.functional.normalize(splats.means - center, dim=1).unbind(dim=1)
    basis = [torch.full_like(x, Y0), -Y1 * y, Y1 * z, -Y1 * x]
    basis += [Y2[0] * x * y, Y2[1] * y * z, Y2[2] * (2 * z * z - x * x - y * y), Y2[3] * x * z, Y2[4] * (x * x - y * y)]
    basis += [Y3[0] * y * (3 * x * x - y * y), Y3[1] * x * y * z, Y3[2] * y * (4 * z * z - x * x - y * y)]
    basis += [Y3[3] * z * (2 * z * z - 3 * x * x - 3 * y * y), Y3[4] * x * (4 * z * z - x * x - y * y)]
    basis += [Y3[5] * z * (x * x - y * y), Y3[6] * x * (x * x - 3 * y * y)]
    Y = torch.stack(basis[: splats.sh.shape[1]], dim=1)
    return (torch.einsum("gk,gkc->gc", Y, splats.sh) + 0.5).clamp_min(0.0)


def _fill(screen: Float[Tensor, "g 2"], pixels: Float[Tensor, "g 2"], view: View) -> None:
    """Let the backward add to `screen`; the absolute sums of single pixels are not at hand here and stay 0."""
    half = pixels.new_tensor([0.5 * view.width, 0.5 * view.height])

    def add(gradient: Float[Tensor, "g 2"]) -> None:
        screen[:, 0] += (gradient * half).norm(dim=1).to(screen.dtype)

    if pixels.requires_grad:
        pixels.register_hook(add)
