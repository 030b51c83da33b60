"""Meshes the zero level set of the scene's SDF."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..components import Build, Mesher
from ..meshing import Surface, extract, largest_components
from ..scene import SceneView
from .config import MarchingCubesConfig


class MarchingCubes(Mesher):
    """Marching cubes (Lorensen and Cline 1987) over the box of the data, or the SDF's own; see `neuralfw.meshing`."""

    def __init__(self, config: MarchingCubesConfig, build: Build) -> None:
        super().__init__(config, build)
        self._config = config

    def __call__(
        self,
        scene: SceneView,
        *,
        resolution: int | None = None,
        inputs: dict[str, Tensor] | None = None,
        **changes: Any,
    ) -> Surface:
        """Return the surface in the training space; `inputs` fixes further coordinates, each a tensor of one row.

        Raises:
            EmptySurfaceError: the field has no level set in the box.
        """
        options = self._config.model_copy(update={"resolution": resolution or self._config.resolution, **changes})
        fixed = inputs or {}

        @torch.no_grad()
        def sdf(x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
            rows = {q: v.expand(len(x), *v.shape[1:]) for q, v in fixed.items()}
            return scene.evaluate({"points": x, **rows}, frozenset({"sdf"}))["sdf"]

        lower, upper = scene.box.cpu().double().numpy()
        margin = options.padding * (upper - lower).max()
        surface = extract(
            sdf,
            (lower - margin, upper + margin),
            options.resolution,
            method=options.method,
            level=options.level,
            chunk=options.chunk,
            device=scene.device,
        )
        return surface if options.components is None else largest_components(surface, options.components)
