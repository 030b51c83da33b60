"""Losses of the Gaussians themselves, and of the normals that they show."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from neuralfw.components import Build, Loss, Quantities
from neuralfw.losses.sdf import mean

from .config import EntropyConfig, NormalConsistencyConfig, OpacityConfig, ScaleConfig, ThinConfig


class Thin(Loss):
    """The smallest scale, mean over Gaussians: they become disks (GS-Pull, arXiv 2410.14189, eq. 3)."""

    def __init__(self, config: ThinConfig, build: Build) -> None:
        super().__init__(config, build)

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        return mean(outputs["gaussians/scales"].amin(dim=1))


class Scale(Loss):
    """The scales, mean over Gaussians and axes (3DGS as MCMC, arXiv 2404.09591, §4.4)."""

    def __init__(self, config: ScaleConfig, build: Build) -> None:
        super().__init__(config, build)

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        return mean(outputs["gaussians/scales"])


class Opacity(Loss):
    """|o - target|, mean over Gaussians: towards none (3DGS as MCMC, arXiv 2404.09591) or solid (GS-Pull)."""

    def __init__(self, config: OpacityConfig, build: Build) -> None:
        super().__init__(config, build)
        self._target = config.target

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        return mean((outputs["gaussians/opacities"] - self._target).abs())


class Entropy(Loss):
    """-o ln o - (1-o) ln(1-o), mean over Gaussians: each is either there or not (SuGaR, arXiv 2311.12775)."""

    def __init__(self, config: EntropyConfig, build: Build) -> None:
        super().__init__(config, build)

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        o = outputs["gaussians/opacities"].clamp(1e-6, 1.0 - 1e-6)
        return mean(-o * o.log() - (1.0 - o) * (1.0 - o).log())


class NormalConsistency(Loss):
    """Rendered normals are those of the rendered depth, mean over pixels (2DGS, arXiv 2403.17888, eq. 14).

    The depth's normals come from differences to the neighbouring pixels; each pixel counts as much as it is covered.
    """

    def __init__(self, config: NormalConsistencyConfig, build: Build) -> None:
        super().__init__(config, build)

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        alpha = outputs["alpha"].detach()
        surface = depth_normals(outputs["depth"], batch["intrinsics"], batch["world_to_camera"])
        agreement = (outputs["normal"] * surface).sum(dim=-1)
        solid = (alpha > 0.5).to(alpha)
        inside = torch.zeros_like(solid)
        inside[:, 1:-1, 1:-1] = solid[:, 1:-1, 1:-1] * solid[:, :-2, 1:-1] * solid[:, 2:, 1:-1]
        inside[:, 1:-1, 1:-1] *= solid[:, 1:-1, :-2] * solid[:, 1:-1, 2:]
        return mean(inside * alpha * (alpha - agreement))


def depth_normals(
    depth: Float[Tensor, "v h w"], intrinsics: Float[Tensor, "v 4"], world_to_camera: Float[Tensor, "v 4 4"]
) -> Float[Tensor, "v h w 3"]:
    """Return unit normals towards the camera, in the training space, by central differences; 0 at the border."""
    height, width = depth.shape[1:]
    rows, columns = (torch.arange(n, device=depth.device) + 0.5 for n in (height, width))
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    fx, fy, cx, cy = (column[:, None, None] for column in intrinsics.unbind(dim=1))
    points = torch.stack([(x - cx) / fx * depth, (y - cy) / fy * depth, depth], dim=-1)
    across = points[:, 1:-1, 2:] - points[:, 1:-1, :-2]
    down = points[:, 2:, 1:-1] - points[:, :-2, 1:-1]
    inner = torch.nn.functional.normalize(torch.linalg.cross(down, across), dim=-1, eps=1e-12)
    normals = torch.nn.functional.pad(inner, (0, 0, 1, 1, 1, 1))
    return torch.einsum("vij,vhwi->vhwj", world_to_camera[:, :3, :3], normals)
