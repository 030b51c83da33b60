"""Options of the components. This module imports no torch."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict

from neuralfw.config import ComponentConfig, DataConfig, InputPath, Option, Unit, Wiring

BOUND = "depth_fusion/bound"


class DepthMapsConfig(DataConfig):
    """Options of `depth_maps`."""

    class Draw(BaseModel):
        """How a pass draws from `depth_maps`."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        batch: int = Option(4096, ge=2, description="samples of a batch, half of them near the surface")

    path: InputPath = Option(description="npz file: depth (v, h, w), world_to_camera (v, 4, 4), intrinsics (v, 4)")
    spread: Annotated[float, Unit("scene units")] = Option(
        0.05, gt=0, description="standard deviation of samples about the point that a ray meets"
    )

    def sets(self) -> Mapping[str, tuple[str, ...]]:
        return {"train": ("points", BOUND)}


class DepthBoundsConfig(ComponentConfig):
    """Options of `depth_bounds`."""

    truncation: Annotated[float, Unit("scene units")] = Option(
        0.1, gt=0, description="bounds below this are taken as the distance itself"
    )
    near_weight: float = Option(5.0, ge=0, description="of samples near the surface, beside 1 in free space")
    steepness: float = Option(5.0, gt=0, description="how fast the penalty of a negative distance in free space grows")

    def wiring(self) -> Wiring:
        return Wiring(needs=("sdf",), observes=(BOUND,))
