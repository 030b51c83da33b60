"""Renderers of moving scenes: what fields and their velocity say at points and times, and where points are carried."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..components import Build, Integrator, Quantities, Renderer, Trajectory
from ..operators import divergence, material_derivative, normal_stretch
from ..scene import SceneView
from .flow_config import VELOCITY, AdvectConfig, TransportConfig
from .points import unit


class Transport(Renderer):
    """SDF and velocity at the batch's points and times, and how the one changes along the other."""

    def __init__(self, config: TransportConfig, build: Build) -> None:
        super().__init__(config, build)
        self._provides = config.wiring().provides

    def forward(self, scene: SceneView, batch: Quantities, want: frozenset[str]) -> Quantities:
        asked = frozenset(need for q in want for need in self._provides[q])
        found = scene.evaluate(scene.coordinates(batch), asked)
        if want & {"normal", "normal_stretch"}:
            found["normal"] = unit(found["sdf_gradient"])
        if "normal_stretch" in want:
            found["normal_stretch"] = normal_stretch(found["velocity_jacobian"], found["normal"])
        if "divergence" in want:
            found["divergence"] = divergence(found["velocity_jacobian"])
        if "material_derivative" in want:
            rates = found["sdf_time_derivative"], found["sdf_gradient"], found["velocity"]
            found["material_derivative"] = material_derivative(*rates)
        return found


class Advect(Renderer):
    """The batch's points carried along the velocity: `moved`, their `trajectory`, and points of it with their times.

    What is said of the velocity there does not move the points: gradients reach it through the fields alone.
    """

    def __init__(self, config: AdvectConfig, build: Build) -> None:
        super().__init__(config, build)
        self.integrator: Integrator = build.component(config.integrator)
        self._span, self._along = (config.start, config.end), config.along

    def forward(self, scene: SceneView, batch: Quantities, want: frozenset[str]) -> Quantities:
        more = {q: v for q, v in scene.coordinates(batch).items() if q not in ("points", "time")}
        path = carry(scene, self.integrator, batch["points"], *self._span, more)
        steps, rows = self._chosen(len(path.times), len(batch["points"]), batch["points"].device)
        found = {"moved": path.end, "points": path.points[steps, rows], "time": path.times[steps]}
        found |= {"trajectory": path.points, "trajectory_time": path.times}
        found |= {q: v[rows] for q, v in more.items() if q in want}
        if asked := frozenset(VELOCITY[q] for q in want if q in VELOCITY):
            places = {"points": found["points"].detach(), "time": found["time"]}
            found |= scene.evaluate({**places, **{q: v[rows] for q, v in more.items()}}, asked)
        if "divergence" in want:
            found["divergence"] = divergence(found["velocity_jacobian"])
        return found

    def _chosen(self, steps: int, rows: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return which step of which trajectory each point is that the pass gives."""
        row = torch.arange(rows, device=device)
        if self._along == "one":
            return row % steps, row
        if self._along == "end":
            return torch.full_like(row, steps - 1), row
        return torch.arange(steps, device=device).repeat_interleave(rows), row.repeat(steps)


def carry(
    scene: SceneView,
    integrator: Integrator,
    x: Float[Tensor, "n 3"],
    t0: float,
    t1: float,
    inputs: Quantities | None = None,
) -> Trajectory:
    """Return where points at x at t0 come by until t1; `inputs` are further coordinates, a row for each point."""

    def velocity(points: Tensor, time: Tensor) -> Tensor:
        asked = scene.evaluate({"points": points, "time": time, **(inputs or {})}, frozenset({"velocity"}))
        return asked["velocity"]

    return integrator(velocity, x, t0, t1)
