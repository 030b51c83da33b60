"""Flattened Gaussians as disks: their axes and normals, and queries pulled towards them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from neuralfw.components import Build, Quantities, Renderer
from neuralfw.renderers.points import unit
from neuralfw.scene import SceneView

from .config import DISK, PullToDisksConfig


def axes(rotations: Float[Tensor, "n 4"]) -> Float[Tensor, "n 3 3"]:
    """Return the rotation matrices of unit quaternions (w, x, y, z); their columns are a Gaussian's axes."""
    w, x, y, z = rotations.unbind(dim=1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=1).reshape(-1, 3, 3)


def normals(scales: Float[Tensor, "n 3"], rotations: Float[Tensor, "n 4"]) -> Float[Tensor, "n 3"]:
    """Return the axis of the smallest scale of each Gaussian, a unit vector without a side."""
    thinnest = scales.argmin(dim=1)
    return axes(rotations)[torch.arange(len(scales), device=scales.device), :, thinnest]


class PullToDisks(Renderer):
    """Queries pulled as by `pull`, beside the Gaussian that each is meant to land on (`gs_pull/index` of the batch)."""

    def __init__(self, config: PullToDisksConfig, build: Build) -> None:
        super().__init__(config, build)

    def forward(self, scene: SceneView, batch: Quantities, want: frozenset[str]) -> Quantities:
        outputs = scene.evaluate(scene.coordinates(batch), frozenset({"sdf", "sdf_gradient"}))
        direction = unit(outputs["sdf_gradient"])
        outputs["gs_pull/surface_normal"] = direction
        outputs["pulled"] = batch["points"] - outputs["sdf"][:, None] * direction
        return outputs | (self._disks(scene, batch) if want & {*DISK} else {})

    def _disks(self, scene: SceneView, batch: Quantities) -> Quantities:
        asked = frozenset({"gaussians/means", "gaussians/scales", "gaussians/rotations"})
        index = batch["gs_pull/index"]
        chosen = {q.removeprefix("gaussians/"): v[index] for q, v in scene.evaluate({}, asked).items()}
        return {
            "gs_pull/disk_center": chosen["means"],
            "gs_pull/disk_scales": chosen["scales"],
            "gs_pull/disk_axes": axes(chosen["rotations"]),
            "gs_pull/disk_normal": normals(chosen["scales"], chosen["rotations"]),
        }
