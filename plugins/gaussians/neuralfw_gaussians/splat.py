"""Renders posed images of Gaussians by splatting."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from neuralfw.components import Build, Quantities, Renderer
from neuralfw.scene import SceneView

from . import backends
from .contract import Image, Settings, Splats, View
from .render_config import GAUSSIANS, SplatConfig
from .rotations import axes


class Splat(Renderer):
    """3D Gaussian splatting (Kerbl et al. 2023, arXiv 2308.04079), by the backend that the options name.

    `normal` is that of the thinnest axis, towards the camera; `depth` is the mean along the ray, over what is opaque.
    `gaussians/screen_gradient` is filled by the backward.
    """

    def __init__(self, config: SplatConfig, build: Build) -> None:
        super().__init__(config, build)
        self.backend = backends.chosen(config.backend, str(build.device))
        self._render = backends.renderer(self.backend, build.device)
        self._antialiased = config.antialiased

    def forward(self, scene: SceneView, batch: Quantities, want: frozenset[str]) -> Quantities:
        times = {"time": batch["time"][:1]} if "time" in batch else {}
        given = scene.evaluate(times, frozenset(GAUSSIANS))
        splats = Splats(**{q.removeprefix("gaussians/"): given[q] for q in GAUSSIANS})
        height, width = batch["size"].tolist()
        settings = Settings(self._antialiased, "depth" in want, absolute="gaussians/screen_gradient" in want)
        screen = torch.zeros(len(splats.means), 2, device=splats.means.device)
        images = []
        for pose, intrinsics in zip(batch["world_to_camera"], batch["intrinsics"], strict=True):
            normals = towards(splats, pose) if "normal" in want else None
            view = View(pose, intrinsics, width, height)
            images.append(self._render(splats, view, replace(settings, features=normals), screen))
        outputs = _joined(images, batch.get("background")) | {"gaussians/screen_gradient": screen}
        return {q: v for q, v in outputs.items() if q in want}


def towards(splats: Splats, pose: Float[Tensor, "4 4"]) -> Float[Tensor, "g 3"]:
    """Return each Gaussian's thinnest axis as a unit normal on the camera's side."""
    thinnest = splats.scales.argmin(dim=1)
    normals = axes(splats.rotations)[torch.arange(len(thinnest), device=thinnest.device), :, thinnest]
    center = -pose[:3, :3].T @ pose[:3, 3]
    away = ((splats.means - center) * normals).sum(dim=1, keepdim=True) > 0
    return torch.where(away, -normals, normals)


def _joined(images: list[Image], background: Float[Tensor, "v 3"] | None) -> Quantities:
    """Return the quantities of a batch of images, in front of the background."""
    rgb, alpha = torch.stack([image.rgb for image in images]), torch.stack([image.alpha for image in images])
    if background is not None:
        rgb = rgb + (1.0 - alpha)[..., None] * background.to(rgb)[:, None, None]
    joined = {
        "rgb": rgb,
        "alpha": alpha,
        "gaussians/radii": torch.stack([image.radii for image in images]).amax(dim=0),
    }
    if images[0].depth is not None:
        sums = torch.stack([image.depth for image in images if image.depth is not None])
        joined["depth"] = sums / alpha.clamp_min(1e-6)
    if images[0].features is not None:
        joined["normal"] = torch.stack([image.features for image in images if image.features is not None])
    return joined
