"""Options of the renderers of moving scenes."""

from __future__ import annotations

from typing import Annotated, Literal

from ..config import ComponentConfig, Option, Slot, Spec, Wiring

VELOCITY = {
    "velocity": "velocity",
    "velocity_jacobian": "velocity_jacobian",
    "velocity_laplacian": "velocity_laplacian",
    "divergence": "velocity_jacobian",
}
"""What is said of a velocity, each with what it is made of."""
MOVED = ("moved", "trajectory", "trajectory_time", "points", "time")
"""Where a velocity takes points, and when."""


class TransportConfig(ComponentConfig):
    """Options of `transport`: none."""

    def wiring(self) -> Wiring:
        provides: dict[str, tuple[str, ...]] = {q: (q,) for q in ("sdf", "sdf_gradient", "sdf_time_derivative")}
        provides |= {q: (need,) for q, need in VELOCITY.items()}
        provides["normal"] = ("sdf_gradient",)
        provides["normal_stretch"] = ("sdf_gradient", "velocity_jacobian")
        provides["material_derivative"] = ("sdf_time_derivative", "sdf_gradient", "velocity")
        return Wiring(observes=("points", "time"), provides=provides)


class AdvectConfig(ComponentConfig):
    """Options of `advect`."""

    integrator: Annotated[Spec, Slot("integrator", "rk4")] = Option(description="how points are carried")
    start: float = Option(0.0, ge=0, le=1, description="time at which the points are where the batch has them")
    end: float = Option(1.0, ge=0, le=1, description="time to which they are carried; before the start: backward")
    along: Literal["all", "one", "end"] = Option(
        "all",
        description="points that the pass gives with their times: all of the trajectories; one of each, its place "
        "going round with the row; or the ends",
    )

    def wiring(self) -> Wiring:
        provides: dict[str, tuple[str, ...]] = {q: ("velocity",) for q in MOVED}
        provides |= {q: (need, "velocity") for q, need in VELOCITY.items()}
        return Wiring(
            needs=("velocity",), observes=("points",), supplies=("time",), provides={**provides, "index": ("index",)}
        )
