"""What every update has in common that moves a surface by the gradient at its vertices."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import normalize

from neuralfw.components import Build, Quantities, Update
from neuralfw.errors import UserError
from neuralfw.meshing import EmptySurfaceError
from neuralfw.scene import SceneView
from neuralfw.training.optimisers import Diverged
from neuralfw.training.step import StepContext
from neuralfw.updates.gradient import refuse_idle

from .config import FlowConfig

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Front:
    """The surface of a step, before it moves.

    Attributes:
        inputs: coordinates of its vertices, as fields take them.
        values: distances there, near 0.
        slope: lengths of the distance's gradient there.
        normals: its direction.
        faces: of the surface.
        gradient: of the energy, by the vertices.
    """

    view: SceneView
    inputs: Quantities
    values: Float[Tensor, " n"]
    slope: Float[Tensor, " n"]
    normals: Float[Tensor, "n 3"]
    faces: Int64[Tensor, "f 3"]
    gradient: Float[Tensor, "n 3"]

    @property
    def vertices(self) -> Float[Tensor, "n 3"]:
        """Where they lie."""
        return self.inputs["points"]


class MovingSurface(Update):
    """Sorts a step's passes: those that give the surface, those of which the field's other terms are, all others.

    The losses of the passes that give `vertices` make the flow. `move` of a subclass makes the field follow; the terms
    of other passes that read the field join it there. Everything else takes its plain gradient step, so also a pass
    that detaches the field: it shows the surface and moves nothing of it.
    """

    def __init__(self, config: FlowConfig, build: Build) -> None:
        super().__init__(config, build)
        self._options = config

    def move(self, ctx: StepContext, front: Front, fitted: list[str]) -> None:
        """Move the field so that its surface follows the flow; passes `fitted` have further terms of it."""
        raise NotImplementedError(type(self).__name__)

    def check(self, ctx: StepContext) -> None:
        field, stage = self._options.field, ctx.stage.name
        if not any(entry.partition(".")[0] == field for entry in ctx.optimisers.entries):
            raise UserError(f"the surface of {field} is to move, but stage {stage!r} does not train {field}")
        if not any({*term.passes} & {*self._surfaces(ctx, ctx.passes)} for term in ctx.losses.values()):
            raise UserError(f"no loss stands on the surface of {field}, so nothing moves it in stage {stage!r}")
        reached = self._extracting(ctx, ctx.reach).values()
        refuse_idle(ctx, frozenset(ctx.scene.parameters_of(field)).union(*reached))

    def step(self, ctx: StepContext) -> None:
        for turn, names in enumerate(ctx.turns()):
            surfaces = self._surfaces(ctx, names)
            fitted = [n for n in names if n not in surfaces and self._trains_field(ctx, n)]
            others = [n for n in names if n not in (*surfaces, *fitted)]
            self._extracting(ctx, lambda: ctx.run([*surfaces, *others]))  # noqa: B023 (called at once)
            terms = ctx.terms([*surfaces, *others], on_fields=turn == 0)
            ctx.backward(terms, leaves=[ctx.results[n].outputs["vertices"] for n in surfaces])
            ctx.optimise()
            for front in self._fronts(ctx, surfaces):
                self.move(ctx, front, fitted)

    # -- passes --------------------------------------------------------------------------------------------------

    def _surfaces(self, ctx: StepContext, names: Iterable[str]) -> list[str]:
        return [n for n in names if "vertices" in ctx.passes[n].plan.predicted and self._trains_field(ctx, n)]

    def _trains_field(self, ctx: StepContext, name: str) -> bool:
        active, own = ctx.passes[name], ctx.scene.parameters_of(self._options.field)
        return self._options.field in active.fields and own.keys().isdisjoint(active.detached)

    def _extracting(self, ctx: StepContext, act: Callable[[], T]) -> T:
        """Do what extracts the surface, and explain where there is none."""
        try:
            return act()
        except EmptySurfaceError as error:
            raise Diverged(
                f"the surface of {self._options.field} vanished at step {ctx.clock.run}: {error}\n"
                "A smaller max_voxels or learning rate, weaker regularisation, or another start may help."
            ) from error

    # -- the flow ------------------------------------------------------------------------------------------------

    def _fronts(self, ctx: StepContext, surfaces: list[str]) -> list[Front]:
        """Return each surface that received a gradient, with its flow."""
        found = {id(ctx.results[n].outputs["vertices"]): n for n in surfaces}
        return [front for name in found.values() if (front := self._front(ctx, name)) is not None]

    def _front(self, ctx: StepContext, name: str) -> Front | None:
        outputs, view = ctx.results[name].outputs, ctx.passes[name].view
        vertices, faces = outputs["vertices"], outputs["faces"]
        if len(faces) > self._options.max_faces:
            raise Diverged(
                f"the surface of {self._options.field} exploded at step {ctx.clock.run}: it has {len(faces):,} faces, "
                f"max_faces allows {self._options.max_faces:,}. A smaller max_voxels or learning rate, or an eikonal "
                "loss on points in space, may help."
            )
        gradient = vertices.grad
        if gradient is None:
            return None
        if not bool(gradient.isfinite().all()):
            raise Diverged(f"the gradient at the vertices of pass {name!r} is not finite at step {ctx.clock.run}")
        at = vertices.detach()
        shared = {q: v[:1] for q, v in view.coordinates(ctx.results[name].batch).items() if q in ("time", "latent")}
        inputs = {"points": at, **{q: v.expand(len(at), *v.shape[1:]) for q, v in shared.items()}}
        with torch.no_grad():
            field = view.evaluate(inputs, frozenset({"sdf", "sdf_gradient"}))
        slope = field["sdf_gradient"].norm(dim=1)
        ctx.logged["faces"] = float(len(faces))
        return Front(view, inputs, field["sdf"], slope, normalize(field["sdf_gradient"], dim=1), faces, gradient)
