"""Renderers of points: what fields say there, and where their gradient pulls them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..components import Build, Quantities, Renderer
from ..scene import SceneView
from .config import PullConfig, QueryConfig


def unit(vectors: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """Return vectors of length 1; the zero vector stays zero, with a finite gradient."""
    return torch.nn.functional.normalize(vectors, dim=-1, eps=1e-12)


class Query(Renderer):
    """The fields' quantities at the batch's points."""

    def __init__(self, config: QueryConfig, build: Build) -> None:
        super().__init__(config, build)

    def forward(self, scene: SceneView, batch: Quantities, want: frozenset[str]) -> Quantities:
        asked = (want - {"normal"}) | ({"sdf_gradient"} if "normal" in want else set())
        outputs = scene.evaluate(scene.coordinates(batch), frozenset(asked))
        if "normal" in want:
            outputs["normal"] = unit(outputs["sdf_gradient"])
        return outputs


class Pull(Renderer):
    """Points moved onto the level set: q - f(q) ∇f(q)/|∇f(q)| (Neural-Pull, arXiv 2011.13495, eq. 1)."""

    def __init__(self, config: PullConfig, build: Build) -> None:
        super().__init__(config, build)

    def forward(self, scene: SceneView, batch: Quantities, want: frozenset[str]) -> Quantities:
        outputs = scene.evaluate(scene.coordinates(batch), frozenset({"sdf", "sdf_gradient"}))
        outputs["pulled"] = batch["points"] - outputs["sdf"][:, None] * unit(outputs["sdf_gradient"])
        return outputs
