"""MeshSDF's update: one gradient step through the surface (Remelli et al. 2020, arXiv 2006.03997)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from neuralfw.components import Build
from neuralfw.training.step import StepContext, TermValue

from .config import MeshSdfConfig
from .moving import Front, MovingSurface


class MeshSdf(MovingSurface):
    """∂E/∂θ = -Σ (∂E/∂x · n / |∇φ|) ∂φ/∂θ over the vertices: they are attached to the field by ∂x/∂φ = -n / |∇φ|.

    It is the first step of the level-set update's squared fit, without a time step.
    """

    def __init__(self, config: MeshSdfConfig, build: Build) -> None:
        super().__init__(config, build)

    def move(self, ctx: StepContext, front: Front, fitted: list[str]) -> None:
        receivers = frozenset(ctx.scene.parameters_of(self._options.field))
        ctx.run(fitted)
        surface = TermValue(attached(front), receivers=receivers)
        ctx.backward({"surface": surface, **ctx.terms(fitted, on_fields=False)})
        ctx.optimise(only=self._options.field)


def attached(front: Front) -> Float[Tensor, ""]:
    """Return what has the energy's gradient in the field's parameters: Σ (∂E/∂x · ∂x/∂φ) φ, the factor a constant."""
    pull = -(front.gradient * front.normals).sum(dim=1) / front.slope.clamp_min(1e-6)
    return (pull * front.view.evaluate(front.inputs, frozenset({"sdf"}))["sdf"]).sum()
