"""Options of the toy components."""

from __future__ import annotations

from typing import ClassVar

from neuralfw.config import ComponentConfig, FieldConfig, Option, Wiring


class PaintedBallConfig(ComponentConfig):
    """Options of `painted_ball`."""

    radius: float = Option(1.0, description="of the ball, training units")

    def wiring(self) -> Wiring:
        observes = ("world_to_camera", "intrinsics", "size", "background?")
        return Wiring(observes=observes, provides={q: () for q in ("rgb", "alpha", "depth", "normal")})


class BallConfig(FieldConfig):
    """Options of `ball`."""

    role: ClassVar[str] = "sdf"
    radius: float = Option(1.0, description="of the ball, training units")

    def wiring(self) -> Wiring:
        return Wiring(provides={"sdf": ("points",), "sdf_gradient": ("points",)})

    def capabilities(self) -> frozenset[str]:
        return frozenset({"signed", "metric"})


class GrowingBallConfig(BallConfig):
    """Options of `growing_ball`."""

    def wiring(self) -> Wiring:
        return Wiring(provides={"sdf": ("points", "time"), "sdf_gradient": ("points", "time")})
