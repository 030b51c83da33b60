"""A level-set update in the small: vertices give a flow, the flow gives targets, an inner loop fits the field to them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from neuralfw.components import Build, Update
from neuralfw.errors import UserError
from neuralfw.training.step import StepContext, TermValue
from neuralfw.updates.gradient import refuse_idle

from .config import LevelSetConfig


class LevelSet(Update):
    """φ ← φ − Δt ∇φ·V at the vertices, V = −N ∂E/∂vertex; other fields take their gradient step beside it."""

    def __init__(self, config: LevelSetConfig, build: Build) -> None:
        super().__init__(config, build)
        self._config = config

    def check(self, ctx: StepContext) -> None:
        if self._config.field not in ctx.optimisers.entries:
            raise UserError(f"level_set evolves {self._config.field}, which stage {ctx.stage.name!r} does not train")
        moved = {*ctx.scene.parameters_of(self._config.field)} if self._geometry(ctx) else set()
        refuse_idle(ctx, frozenset(moved).union(*ctx.reach().values()))

    def step(self, ctx: StepContext) -> None:
        for turn, names in enumerate(ctx.turns()):
            geometry = self._geometry(ctx, names)
            fitted = [n for n in names if n not in geometry and self._trains_field(ctx, n)]
            others = [n for n in names if n not in (*geometry, *fitted)]
            ctx.run([*geometry, *others])
            ctx.backward(ctx.terms([*geometry, *others], on_fields=turn == 0), leaves=self._vertices(ctx, geometry))
            ctx.optimise()
            if geometry:
                self._evolve(ctx, geometry, fitted)

    def _geometry(self, ctx: StepContext, names: Any = None) -> list[str]:
        return [n for n in (names or ctx.passes) if "vertices" in ctx.passes[n].plan.predicted]

    def _trains_field(self, ctx: StepContext, name: str) -> bool:
        active = ctx.passes[name]
        return self._config.field in active.fields and not {*ctx.scene.parameters_of(self._config.field)} & {
            *active.detached
        }

    def _vertices(self, ctx: StepContext, geometry: list[str]) -> list[Tensor]:
        return [ctx.results[n].outputs["vertices"] for n in geometry]

    def _evolve(self, ctx: StepContext, geometry: list[str], fitted: list[str]) -> None:
        view = ctx.passes[geometry[0]].view
        (vertices,) = {id(v): v for v in self._vertices(ctx, geometry)}.values()
        at, flow = vertices.detach(), -len(vertices) * vertices.grad
        with torch.no_grad():
            field = view.evaluate({"points": at}, frozenset({"sdf", "sdf_gradient"}))
            target = field["sdf"] - self._config.dt * (field["sdf_gradient"] * flow).sum(dim=1)
        receivers = frozenset(ctx.scene.parameters_of(self._config.field))
        for _ in range(self._config.inner_steps):
            predicted = view.evaluate({"points": at}, frozenset({"sdf"}))["sdf"]
            fit = TermValue((predicted - target).abs().mean(), receivers=receivers)
            ctx.run(fitted)
            ctx.backward({"fit": fit, **ctx.terms(fitted, on_fields=False)})
            ctx.optimise(only=self._config.field)
        ctx.logged["fit"] = fit.value.detach()
