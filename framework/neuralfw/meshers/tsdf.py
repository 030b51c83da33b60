"""The mesh of what the scene renders: depth of the training cameras, fused."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..components import Build, Mesher, Renderer
from ..data.images import Images
from ..errors import UserError
from ..geometry import Camera
from ..meshing import Surface
from ..meshing.grid import Grid
from ..photos.hull import seen_part
from ..rendering import camera_batch
from ..scene import SceneView
from .config import TsdfConfig


class Tsdf(Mesher):
    """Depth and alpha rendered from the cameras of the training photographs, fused into a truncated signed distance
    (Curless and Levoy 1996) over the box of the data; see `neuralfw.meshing.fusion`."""

    def __init__(self, config: TsdfConfig, build: Build) -> None:
        super().__init__(config, build)
        self._config = config

    def __call__(
        self, scene: SceneView, *, resolution: int | None = None, inputs: dict[str, Tensor] | None = None
    ) -> Surface:
        """Return the surface in the training space.

        Raises:
            EmptySurfaceError: the depth has no surface in the box.
            UserError: the data are no posed photographs, or nothing renders their depth.
        """
        from ..meshing.fusion import fuse

        data, renderer = scene.scene.open_data(self._config.data.partition(".")[0]), self._renderer(scene)
        if not isinstance(data, Images):
            raise UserError(f"mesher tsdf: data {self._config.data!r} have no cameras: they are no posed photographs")

        def images() -> Iterator[tuple[Camera, Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]]:
            for index in data.members("train"):
                batch = camera_batch(data.cameras[index]) | (inputs or {})
                with torch.no_grad():
                    given = {q: v.to(scene.device) for q, v in batch.items()}
                    found = renderer(scene, given, frozenset({"depth", "alpha"}))
                depth, alpha = (found[q][0].float().cpu().numpy() for q in ("depth", "alpha"))
                yield data.cameras[index], depth, alpha

        box = scene.box.cpu().double().numpy()
        if self._config.seen > 0.0:
            box = seen_part([data.cameras[i] for i in data.members("train")], box, self._config.seen)
        lower, upper = box
        margin = self._config.padding * (upper - lower).max()
        grid = Grid.over((lower - margin, upper + margin), resolution or self._config.resolution)
        truncation = self._config.truncation * grid.spacing
        return fuse(grid, images(), truncation=truncation, min_alpha=self._config.min_alpha)

    def _renderer(self, scene: SceneView) -> Renderer:
        """Return the renderer that is named, or the first that renders depth and alpha of posed images."""
        tables = scene.scene.recipe.renderers
        able = [
            name
            for name, wiring in ((name, spec.config.wiring()) for name, spec in tables.items())
            if {"depth", "alpha"} <= wiring.provides.keys() and "world_to_camera" in wiring.observes
        ]
        wanted = self._config.renderer or (able[0] if able else None)
        if wanted not in able:
            known = f"those that do: {', '.join(able)}" if able else "none of this recipe does"
            raise UserError(f"mesher tsdf: no renderer {wanted or ''} renders depth of posed images; {known}")
        return scene.renderer(wanted)
