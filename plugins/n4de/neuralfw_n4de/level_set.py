"""The level-set update of Neural Implicit Evolution (Mehta et al. 2022, arXiv 2204.07159)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from neuralfw.components import Build, Quantities
from neuralfw.training.step import StepContext, TermValue

from .config import LevelSetConfig
from .flow import mean_edge, normal_speed
from .moments import Moments, drawn
from .moving import Front, MovingSurface

_TYPICAL = 0.95
"""Quantile of |V·n| that an automatic time step takes to `max_voxels`; the few faster vertices are held to that."""

_BAND = 2.0
"""Standard deviation of the points near the surface, voxels."""


class LevelSet(MovingSurface):
    """φ ← φ - Δt ∇φ·V at the vertices, V = -∂E/∂x, by some steps of fitting the field to these targets.

    Δt = `dt`, or such that the 95th percentile of Δt |V·n| is `max_voxels`: the scale of the losses drops out. In
    either case no target asks for more than `max_voxels`. Points off the surface have the speed of their nearest
    vertex (extension velocities: Adalsteinsson and Sethian 1999), so that all level sets move and φ stays a distance.
    With `hold` each moment of a sequence keeps its last targets while the surface moves at another.
    """

    def __init__(self, config: LevelSetConfig, build: Build) -> None:
        super().__init__(config, build)
        self._config = config
        self._moments = Moments(config.hold)

    def state(self) -> dict[str, Tensor]:
        return self._moments.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self._moments.load_state(state)

    def move(self, ctx: StepContext, front: Front, fitted: list[str]) -> None:
        voxel = mean_edge(front.vertices, front.faces)
        motion = self._motion(front, voxel)
        targets = front.values - front.slope * motion
        around = self._off_surface(ctx, front, motion, voxel)
        receivers = frozenset(ctx.scene.parameters_of(self._config.field))
        generator = ctx.generator("fit")
        asked = (front.inputs, targets) if around is None else _joined([(front.inputs, targets), around])
        others = self._moments.others(front.inputs)
        self._moments.keep(*asked, ctx.generator("hold"))
        for _ in range(self._config.inner_steps):
            parts = [drawn(front.inputs, targets, self._config.batch, generator)]
            parts += [around] if around is not None else []
            inputs, target = _joined([*parts, *others])
            difference = front.view.evaluate(inputs, frozenset({"sdf"}))["sdf"] - target
            value = difference.abs().mean() if self._config.fit == "l1" else difference.square().mean()
            fit = TermValue(value, receivers=receivers)
            ctx.run(fitted)
            ctx.backward({"fit": fit, **ctx.terms(fitted, on_fields=False)})
            ctx.optimise(only=self._config.field)
            ctx.logged["loss/fit"] = fit.value.detach()
        ctx.logged["voxels"] = motion.abs().mean() / voxel

    def _motion(self, front: Front, voxel: float) -> Float[Tensor, " n"]:
        """Return how far each vertex is to move along its normal, scene units."""
        limit, smoothing = self.now(self._config.max_voxels) * voxel, self._config.smoothing * voxel
        speed = normal_speed(front.vertices, front.faces, front.normals, front.gradient, smoothing)
        if self._config.dt is not None:
            step = self.now(self._config.dt)
        else:
            typical = float(speed.abs().float().kthvalue(max(1, round(_TYPICAL * len(speed)))).values)
            step = limit / typical if typical > 0.0 else 0.0
        return (step * speed).clamp(-limit, limit)

    def _off_surface(
        self, ctx: StepContext, front: Front, motion: Float[Tensor, " n"], voxel: float
    ) -> tuple[Quantities, Float[Tensor, " m"]] | None:
        """Return points off the surface, half of them near it, with their targets."""
        count = self._config.off_surface
        if not count:
            return None
        generator, at = ctx.generator("off_surface"), front.vertices
        near = torch.randint(len(at), (count // 2,), generator=generator).to(at.device)
        away = _BAND * voxel * torch.randn(len(near), 1, generator=generator).to(at)
        lower, upper = at.amin(dim=0), at.amax(dim=0)
        margin = 0.1 * (upper - lower).max()
        spread = torch.rand(count - len(near), 3, generator=generator).to(at)
        far = lower - margin + (upper - lower + 2.0 * margin) * spread
        points = torch.cat([at[near] + away * front.normals[near], far])
        shared = {q: v[:1].expand(count, *v.shape[1:]) for q, v in front.inputs.items() if q != "points"}
        inputs = {"points": points, **shared}
        with torch.no_grad():
            value = front.view.evaluate(inputs, frozenset({"sdf"}))["sdf"]
        found = KDTree(at.numpy(force=True)).query(points.numpy(force=True))
        distance, owner = torch.from_numpy(found[0]).to(at), torch.from_numpy(found[1]).to(at.device)
        beyond = distance > _BAND * voxel
        value = torch.where(beyond, value.sign() * distance, value)
        return inputs, value - motion[owner]


def _joined(parts: Sequence[tuple[Quantities, Tensor]]) -> tuple[Quantities, Float[Tensor, " n"]]:
    """Return inputs and targets, one after the other."""
    inputs = {q: torch.cat([part[q] for part, _ in parts]) for q in parts[0][0]}
    return inputs, torch.cat([targets for _, targets in parts])
