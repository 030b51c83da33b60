"""Cel shading of surfaces."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from neuralfw.components import Build, Quantities, Renderer
from neuralfw.renderers.rays import poses_of, rays_of
from neuralfw.scene import SceneView

from .config import NEEDED, ToonConfig


class Toon(Renderer):
    """What another renderer shows, its colours replaced by a few tones of one, and black where the surface turns away.

    Any renderer of posed images that gives normals will do: of an SDF, of Gaussians, of a mesh. Everything but `rgb`
    is that renderer's own.
    """

    def __init__(self, config: ToonConfig, build: Build) -> None:
        super().__init__(config, build)
        self._options = config
        self.of: Renderer = build.component(config.of)

    def forward(self, scene: SceneView, batch: Quantities, want: frozenset[str]) -> Quantities:
        if "rgb" not in want:
            return self.of(scene, batch, want)
        found = self.of(scene, batch, (want - {"rgb"}).union(NEEDED))
        rays = rays_of(scene, batch)
        turn = poses_of(scene, batch)[:, :3, :3]
        light = normalize(turn.new_tensor(self._options.light), dim=0) @ turn
        normal = normalize(rays.per_ray(found["normal"]), dim=1)
        facing = -(normal * rays.directions).sum(dim=1)
        shade = self.tone((normal * rays.per_ray(light)).sum(dim=1)) * (facing > self._options.outline)
        alpha = rays.per_ray(found["alpha"])[:, None]
        behind = rays.per_ray(batch["background"]) if "background" in batch else torch.zeros_like(normal)
        color = shade[:, None] * normal.new_tensor(self._options.color)
        found["rgb"] = rays.imaged(alpha * color + (1 - alpha) * behind)
        return {quantity: found[quantity] for quantity in want}

    def tone(self, lit: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Return the brightness of cosines to the light: as many steps as there are tones, each a little soft."""
        options = self._options
        level = lit.clamp(0, 1) * (options.tones - 1)
        step = level.floor()
        rise = ((level - step - 0.5) / options.softness + 0.5).clamp(0, 1)
        return options.shadow + (1 - options.shadow) * (step + rise) / (options.tones - 1)
