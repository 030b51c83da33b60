"""Fields that show Gaussians otherwise than they are: pulled onto a surface, or more opaque."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from neuralfw.components import Build, Field, Quantities
from neuralfw.renderers.points import unit

from .config import GAUSSIANS, GaussiansViewConfig, PulledGaussiansConfig
from .disks import normals


class PulledGaussians(Field):
    """Gaussians whose centres are moved onto the zero level set: µ' = µ - f(µ) ∇f(µ)/|∇f(µ)| (GS-Pull, eq. 2).

    Everything else of them is passed on. Gradients reach the Gaussians and the SDF, which is evaluated once a step for
    all passes that read the same parameters.
    """

    role = "gaussians"

    def __init__(self, config: PulledGaussiansConfig, build: Build) -> None:
        super().__init__(config, build)
        self._graph, self._place = build.scene.graph, build.place
        self._parts = (build.scene.fields[config.gaussians], build.scene.fields[config.sdf])

    def evaluate(self, inputs: Mapping[str, Tensor], want: frozenset[str]) -> Quantities:
        gaussians, sdf = self._parts
        asked = want & {*GAUSSIANS} | {"gaussians/means"}
        if "gs_pull/disk_normal" in want:
            asked |= {"gaussians/scales", "gaussians/rotations"}
        given: Quantities = gaussians.evaluate({}, asked)  # type: ignore[operator]
        pulled = self._once("pulled", lambda: self._pulled(given["gaussians/means"]))
        outputs = {**given, "gaussians/means": pulled}
        if "gs_pull/disk_normal" in want:
            outputs["gs_pull/disk_normal"] = normals(given["gaussians/scales"], given["gaussians/rotations"])
        if "gs_pull/surface_normal" in want:
            outputs["gs_pull/surface_normal"] = self._once(
                "normal", lambda: unit(sdf(pulled, want=frozenset({"sdf_gradient"}))["sdf_gradient"])
            )
        return {q: outputs[q] for q in want}

    def _pulled(self, means: Float[Tensor, "g 3"]) -> Float[Tensor, "g 3"]:
        there = self._parts[1](means, want=frozenset({"sdf", "sdf_gradient"}))
        moved: Tensor = means - there["sdf"][:, None] * unit(there["sdf_gradient"])
        return moved

    def _once(self, what: str, make: object) -> Tensor:
        """Return what `make` makes, made once in a step for each set of parameters that are not frozen."""
        moving = tuple(p.requires_grad for part in self._parts for p in part.parameters())
        key = (self._place, what, moving, torch.is_grad_enabled())
        if key not in self._graph:
            self._graph[key] = make()  # type: ignore[operator]
        kept: Tensor = self._graph[key]
        return kept


class GaussiansView(Field):
    """Gaussians with opacities max(o, floor); those below the floor receive no gradient of their opacity."""

    role = "gaussians"

    def __init__(self, config: GaussiansViewConfig, build: Build) -> None:
        super().__init__(config, build)
        self._of = (build.scene.fields[config.of],)
        self._floor = config.opacity_min

    def evaluate(self, inputs: Mapping[str, Tensor], want: frozenset[str]) -> Quantities:
        outputs: Quantities = dict(self._of[0].evaluate(inputs, want))  # type: ignore[operator]
        if "gaussians/opacities" in outputs:
            outputs["gaussians/opacities"] = outputs["gaussians/opacities"].clamp(min=self._floor)
        return outputs
