"""The toy components."""

from __future__ import annotations

import torch

from neuralfw.components import Build, Renderer, SdfField

from .config import BallConfig, PaintedBallConfig


class Ball(SdfField):
    """A ball about the origin."""

    def __init__(self, config: BallConfig, build: Build) -> None:
        super().__init__(config, build)
        self.radius = torch.nn.Parameter(torch.tensor(config.radius))

    def forward(self, x, t=None, z=None, want=frozenset({"sdf"})):  # type: ignore[no-untyped-def]
        length = x.norm(dim=1)
        found = {"sdf": length - self.radius, "sdf_gradient": x / length[:, None].clamp(min=1e-9)}
        return {q: found[q] for q in want}


class GrowingBall(Ball):
    """A ball about the origin, with a radius in proportion to the time."""

    def forward(self, x, t=None, z=None, want=frozenset({"sdf"})):  # type: ignore[no-untyped-def]
        length = x.norm(dim=1)
        found = {"sdf": length - t * self.radius, "sdf_gradient": x / length[:, None].clamp(min=1e-9)}
        return {q: found[q] for q in want}


class PaintedBall(Renderer):
    """A ball of one colour about the origin."""

    def __init__(self, config: PaintedBallConfig, build: Build) -> None:
        super().__init__(config, build)
        self._radius = config.radius
        self.color = torch.nn.Parameter(torch.tensor([0.5, 0.25, 0.75]))

    def forward(self, scene, batch, want):  # type: ignore[no-untyped-def]
        height, width = batch["size"].tolist()
        pose, (fx, fy, cx, cy) = batch["world_to_camera"][0], batch["intrinsics"][0]
        y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        rays = torch.stack([(x - cx) / fx, (y - cy) / fy, torch.ones_like(x)], dim=-1)
        center = pose[:3, 3]
        a, b, c = rays.square().sum(-1), rays @ center, center.square().sum() - self._radius**2
        root = b * b - a * c
        alpha = (root > 0).float()
        depth = torch.where(root > 0, (b - root.clamp(min=0).sqrt()) / a, torch.zeros_like(a))
        normal = (depth[..., None] * rays - center) / self._radius @ pose[:3, :3] * alpha[..., None]
        background = batch.get("background", torch.zeros(1, 3))[0]
        rgb = alpha[..., None] * self.color + (1 - alpha[..., None]) * background
        found = {"rgb": rgb, "alpha": alpha, "depth": depth, "normal": normal}
        return {q: found[q][None] for q in want}
