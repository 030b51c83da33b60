"""Stand-ins for the CUDA packages: what their documentation says of their arguments and results, in plain torch."""

from __future__ import annotations

from collections import namedtuple
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from neuralfw_gaussians.backends import plain
from neuralfw_gaussians.contract import Splats, View


def composited(
    pixels: Tensor, covariances: Tensor, opacities: Tensor, depth: Tensor, values: Tensor, width: int, height: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the image (h, w, c), alpha (h, w) and the offsets (h, w, g, 2) of pixels, in the order of the input."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    offsets = torch.stack([x, y], dim=-1)[:, :, None] - pixels
    power = -0.5 * torch.einsum("hwgi,gij,hwgj->hwg", offsets, torch.linalg.inv(covariances), offsets)
    alpha = (opacities * power.exp()).clamp_max(0.99)
    alpha = torch.where(alpha < 1 / 255, 0.0, alpha)[..., depth.argsort()]
    alpha = torch.where((1.0 - alpha).cumprod(dim=2) < 1e-4, 0.0, alpha)
    left = torch.cat([torch.ones_like(alpha[..., :1]), (1.0 - alpha).cumprod(dim=2)], dim=2)
    weights = alpha * left[..., :-1]
    return weights @ values[depth.argsort()], 1.0 - left[..., -1], offsets


def dilated(covariances: Tensor, opacities: Tensor, antialiased: bool) -> tuple[Tensor, Tensor]:
    """Return wider covariances, and opacities that keep the energy where that is asked for."""
    wide = covariances + 0.3 * torch.eye(2)
    ratio = (torch.linalg.det(covariances) / torch.linalg.det(wide)).clamp_min(2.5e-5)
    return wide, opacities * ratio.sqrt() if antialiased else opacities


def gsplat() -> ModuleType:
    """Return a package with `rasterization` as gsplat 1.5 and 1.6 have it, for one camera and packed=False."""

    def rasterization(
        means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, colors: Tensor, viewmats: Tensor, Ks: Tensor,  # noqa: N803
        width: int, height: int, near_plane: float = 0.01, sh_degree: int | None = None, packed: bool = True,
        render_mode: str = "RGB", absgrad: bool = False, rasterize_mode: str = "classic",
    ) -> tuple[Tensor, Tensor, dict[str, Any]]:  # fmt: skip
        assert not packed and viewmats.shape == (1, 4, 4) and Ks.shape == (1, 3, 3)
        K = Ks[0]
        view = View(viewmats[0], torch.stack([K[0, 0], K[1, 1], K[0, 2], K[1, 2]]), width, height)
        splats = Splats(means, scales, quats, opacities, colors if sh_degree is not None else colors[:, None, :3])
        in_camera = means @ view.world_to_camera[:3, :3].T + view.world_to_camera[:3, 3]
        assert bool((in_camera[:, 2] > near_plane).all())
        if sh_degree is not None:
            assert colors.shape == (len(means), (sh_degree + 1) ** 2, 3)
            colors = plain.colors(splats, view)
        pixels, covariances = plain.project(splats, in_camera, view)
        pixels = pixels[None] * 1.0
        wide, seen = dilated(covariances, opacities, rasterize_mode == "antialiased")
        values = torch.cat([colors, in_camera[:, 2:]], dim=1) if render_mode == "RGB+D" else colors
        image, alpha, offsets = composited(pixels[0], wide, seen, in_camera[:, 2], values, width, height)

        def keep(gradient: Tensor) -> None:
            pixels.absgrad = gradient.abs().sum(dim=(0, 1))[None]  # type: ignore[attr-defined]

        if absgrad and offsets.requires_grad:
            offsets.register_hook(keep)
        radii = torch.full((1, len(means), 2), 7, dtype=torch.int32)
        return image[None], alpha[None, ..., None], {"means2d": pixels, "radii": radii}

    package = ModuleType("gsplat")
    package.rasterization = rasterization  # type: ignore[attr-defined]
    return package


SIZES = "image_height image_width tanfovx tanfovy "
COMMON = SIZES + "bg scale_modifier viewmatrix projmatrix sh_degree campos prefiltered debug"


def inria(year: int) -> ModuleType:
    """Return a package as diff-gaussian-rasterization was in 2023 or in 2024."""
    settings = namedtuple("GaussianRasterizationSettings", COMMON + (" antialiasing" if year > 2023 else ""))

    class GaussianRasterizer:
        def __init__(self, raster_settings: Any) -> None:
            self.s = raster_settings

        def __call__(
            self, means3D: Tensor, means2D: Tensor, opacities: Tensor, shs: Tensor | None = None,  # noqa: N803
            colors_precomp: Tensor | None = None, scales: Tensor | None = None, rotations: Tensor | None = None,
            cov3D_precomp: Tensor | None = None,  # noqa: N803
        ) -> tuple[Tensor, ...]:  # fmt: skip
            assert shs is None and scales is None and rotations is None
            assert colors_precomp is not None and colors_precomp.shape[1] == 3 and cov3D_precomp is not None
            assert opacities.shape == (len(means3D), 1)
            s = self.s
            homogeneous = torch.cat([means3D, torch.ones_like(means3D[:, :1])], dim=1)
            tx, ty, tz, _ = (homogeneous @ s.viewmatrix).unbind(dim=1)  # matrices are column-major
            clip = homogeneous @ s.projmatrix
            size = torch.tensor([s.image_width, s.image_height])
            ndc = clip[:, :2] / clip[:, 3:] + means2D[:, :2]
            pixels = ((ndc + 1.0) * size - 1.0) / 2.0 + 0.5
            fx, fy = s.image_width / (2.0 * s.tanfovx), s.image_height / (2.0 * s.tanfovy)
            ux = tz * (tx / tz).clamp(-1.3 * s.tanfovx, 1.3 * s.tanfovx)
            uy = tz * (ty / tz).clamp(-1.3 * s.tanfovy, 1.3 * s.tanfovy)
            zero = torch.zeros_like(tz)
            rows = [
                torch.stack([fx / tz, zero, -fx * ux / tz**2], 1),
                torch.stack([zero, fy / tz, -fy * uy / tz**2], 1),
            ]
            T = torch.stack(rows, dim=1) @ s.viewmatrix[:3, :3].T
            xx, xy, xz, yy, yz, zz = cov3D_precomp.unbind(dim=1)
            sigma = torch.stack([xx, xy, xz, xy, yy, yz, xz, yz, zz], dim=1).reshape(-1, 3, 3)
            wide, seen = dilated(
                T @ sigma @ T.transpose(1, 2), opacities[:, 0], bool(getattr(s, "antialiasing", False))
            )
            seen = torch.where(tz > 0.2, seen, 0.0)
            shown = composited(pixels, wide, seen, tz, colors_precomp, s.image_width, s.image_height)
            image = (shown[0] + (1.0 - shown[1])[..., None] * s.bg).permute(2, 0, 1)
            radii = torch.full((len(means3D),), 7, dtype=torch.int32)
            return (image, radii) if year == 2023 else (image, radii, torch.zeros(1, s.image_height, s.image_width))

    package = ModuleType("diff_gaussian_rasterization")
    package.GaussianRasterizationSettings = settings  # type: ignore[attr-defined]
    package.GaussianRasterizer = GaussianRasterizer  # type: ignore[attr-defined]
    return package
