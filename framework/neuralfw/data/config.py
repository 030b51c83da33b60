"""Options of core's datasets and samplers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict

from ..config import DataConfig, InputPath, Option, Ref, Unit


class PointsConfig(DataConfig):
    """Options of `points`."""

    class Draw(BaseModel):
        """How a pass draws from `points`."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        batch: int = Option(16384, ge=1, description="points of a batch; all of them where there are fewer")

    path: InputPath = Option(description="point cloud, or a mesh that is sampled")
    normals: Literal["auto", "estimate", "none"] = Option(
        "auto", description="those of the file, estimated where absent; always estimated; or not used"
    )
    neighbors: int = Option(16, ge=4, description="neighbours from which a normal is estimated")
    samples: int = Option(100_000, ge=1, description="points drawn from a mesh, uniformly by area")
    clean: bool = Option(True, description="drop the few points that lie far from all others")
    holdout: float = Option(0.0, ge=0, lt=1, description="share of the points kept for validation, as set val")

    def sets(self) -> Mapping[str, tuple[str, ...]]:
        given = ("points",) if self.normals == "none" else ("points", "normal")
        return {"train": given, **({"val": given} if self.holdout else {})}


class NearPointsConfig(DataConfig):
    """Options of `near_points`."""

    data: Annotated[str, Ref("data")] = Option("points", description="data table that holds the points")
    batch: int = Option(16384, ge=1, description="most samples near the points in a batch")
    per_point: float = Option(1.0, gt=0, description="the same, as a multiple of the number of points: the fewer count")
    neighbors: int = Option(50, ge=1, description="the spread of a point is its distance to this neighbour")
    spread: float = Option(1.0, gt=0, description="multiple of that distance taken as standard deviation")
    far: float = Option(0.125, ge=0, description="far samples, as a share of the near ones")
    far_kind: Literal["box", "gaussian"] = Option("box", description="uniform in a box, or Gaussian about the points")
    far_size: Annotated[float, Unit("scene units")] = Option(
        1.1, gt=0, description="half the edge of the box about the origin, or the standard deviation"
    )
    nearest: bool = Option(False, description="also give the nearest of the points and its distance")

    def batch_size(self, draw: BaseModel) -> int:
        return self.batch + round(self.batch * self.far)

    def sets(self) -> Mapping[str, tuple[str, ...]]:
        return {"train": ("points", "nearest", "distance") if self.nearest else ("points",)}


class UniformConfig(DataConfig):
    """Options of `uniform`."""

    batch: int = Option(16384, ge=1, description="samples of a batch")
    padding: float = Option(0.1, ge=0, description="margin about the data's box, as a share of its longest edge")
    size: Annotated[float | None, Unit("scene units")] = Option(
        None, gt=0, description="half the edge of a cube about the origin, instead of the data's box"
    )
    time: bool | Literal["step"] = Option(
        False, description='also draw a time in [0, 1] for each sample; or give all the step\'s: "step"'
    )

    def sets(self) -> Mapping[str, tuple[str, ...]]:
        return {"train": ("points", "time") if self.time else ("points",)}
