"""The zero level set of an SDF as a mesh whose vertices are leaves of the graph, extracted once for all passes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from neuralfw.components import Build, Quantities, Renderer
from neuralfw.meshing import extract
from neuralfw.scene import SceneView

from .config import SurfaceConfig
from .contract import Triangles

_ALONG = ("time", "latent")
"""Coordinates besides the points, of which a batch has one for all of its views."""


@dataclass(frozen=True, eq=False)
class Extracted:
    """A surface in the training space, with what all of its points share: a time, a latent code."""

    vertices: Float[Tensor, "n 3"]
    triangles: Triangles
    shared: Quantities

    def coordinates(self) -> Quantities:
        """Return what fields take at the vertices."""
        return {"points": self.vertices, **_rows(self.shared, len(self.vertices))}


class Surface(Renderer):
    """Nothing but the surface: for energies of its shape alone, and for what is measured at its vertices."""

    def __init__(self, config: SurfaceConfig, build: Build) -> None:
        super().__init__(config, build)
        self._extraction = config

    def forward(self, scene: SceneView, batch: Quantities, want: frozenset[str]) -> Quantities:
        surface = self.extracted(scene, batch)
        return {q: v for q, v in geometry(surface).items() if q in want}

    def extracted(self, scene: SceneView, batch: Quantities) -> Extracted:
        """Return the surface at the batch's time and code, the same one for all passes of a step that see these fields.

        Raises:
            EmptySurfaceError: the distance has no zero level set in the box.
        """
        if scene.device.type == "meta":
            raise NotImplementedError("how many faces a surface has is known when it is extracted")
        options, recorded = self._extraction, torch.is_grad_enabled()
        resolution = round(self.now(options.resolution))
        shared = {q: batch[q][:1] for q in _ALONG if q in batch}
        fixed = {q: v.flatten().tolist() for q, v in shared.items()}

        def make() -> Extracted:
            found = extract(
                lambda x: scene.evaluate({"points": x, **_rows(shared, len(x))}, frozenset({"sdf"}))["sdf"],
                self._bounds(scene),
                resolution,
                device=scene.device,
            )
            vertices = torch.from_numpy(found.vertices).to(scene.device, torch.get_default_dtype())
            triangles = Triangles(torch.from_numpy(found.faces).to(scene.device))
            return Extracted(vertices.requires_grad_(recorded), triangles, shared)

        return scene.once(f"surface/{resolution}/{options.padding}/{options.size}/{fixed}/{recorded}", make)

    def _bounds(self, scene: SceneView) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3"]]:
        options = self._extraction
        if options.size is not None:
            return np.full(3, -options.size), np.full(3, options.size)
        lower, upper = scene.box.double().numpy(force=True)
        margin = options.padding * (upper - lower).max()
        return lower - margin, upper + margin


def geometry(surface: Extracted) -> Quantities:
    """Return the quantities of a surface by itself."""
    return {"vertices": surface.vertices, "faces": surface.triangles.faces}


def _rows(shared: Quantities, count: int) -> Quantities:
    """Return coordinates that all points share, once for each."""
    return {q: v.expand(count, *v.shape[1:]) for q, v in shared.items()}
