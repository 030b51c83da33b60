"""Meshes the zero level set of the scene's SDF."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..components import Build, Mesher
from ..geometry import Mesh, sample_surface
from ..meshing import Surface, extract, largest_components
from ..meshing.grid import Bounds, ScalarField
from ..scene import SceneView
from .config import MarchingCubesConfig

_COARSE = 100
"""Cells along the longest edge of the box for the surface that tells axes."""


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
        bounds = lower - margin, upper + margin
        if options.axes == "object":
            surface = along_its_axes(sdf, bounds, options, scene.device)
        else:
            surface = _extract(sdf, bounds, options, scene.device)
        return surface if options.components is None else largest_components(surface, options.components)


def along_its_axes(sdf: ScalarField, bounds: Bounds, options: MarchingCubesConfig, device: torch.device) -> Surface:
    """Return the surface on a grid along its own principal axes, in the box around it (IDR, arXiv 2003.09852, code).

    A coarse surface, of its largest parts where only those are kept, says what axes and box are.
    """
    coarse = _extract(sdf, bounds, options.model_copy(update={"resolution": min(_COARSE, options.resolution)}), device)
    if options.components is not None:
        coarse = largest_components(coarse, options.components)
    points, _ = sample_surface(Mesh(coarse.vertices, coarse.faces), 10_000, np.random.default_rng(0))
    _, axes = np.linalg.eigh(np.cov(points.T))
    axes = axes[:, ::-1] * np.sign(np.linalg.det(axes[:, ::-1]))
    along = coarse.vertices @ axes
    margin = 2.0 * coarse.stats.spacing
    back = torch.from_numpy(axes.T.copy()).to(device, torch.get_default_dtype())
    found = _extract(lambda x: sdf(x @ back), (along.min(axis=0) - margin, along.max(axis=0) + margin), options, device)
    return replace(found, vertices=found.vertices @ axes.T)


def _extract(sdf: ScalarField, bounds: Bounds, options: MarchingCubesConfig, device: torch.device) -> Surface:
    return extract(
        sdf,
        bounds,
        options.resolution,
        method=options.method,
        level=options.level,
        chunk=options.chunk,
        device=device,
    )
