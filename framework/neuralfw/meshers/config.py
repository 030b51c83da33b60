"""Options of core's meshers."""

from __future__ import annotations

from typing import Literal

from ..config import ComponentConfig, Option, Wiring


class MarchingCubesConfig(ComponentConfig):
    """Options of `marching_cubes`."""

    resolution: int = Option(256, ge=2, le=2048, description="cells along the longest edge of the box")
    method: Literal["sparse", "dense"] = Option("sparse", description="evaluate only near the surface, or everywhere")
    level: float = Option(0.0, description="value of the level set, in scene units")
    padding: float = Option(0.1, ge=0, description="margin about the data's box, as a share of its longest edge")
    components: int | None = Option(None, ge=1, description="keep only so many of the largest parts; default: all")
    chunk: int = Option(8192, ge=1, description="points evaluated at once")

    def wiring(self) -> Wiring:
        return Wiring(needs=("sdf",), requires=("sdf:signed",))
