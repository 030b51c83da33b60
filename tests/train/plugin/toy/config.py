"""Options of the toy components."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from neuralfw.config import (
    Adam,
    ComponentConfig,
    DataConfig,
    FieldConfig,
    Number,
    Option,
    Ref,
    Scheduled,
    SparseAdam,
    Wiring,
)


class BallConfig(FieldConfig):
    """An exact sphere."""

    role: ClassVar[str] = "sdf"
    radius: float = Option(0.3, description="radius at the start")
    squash: Annotated[Number, Scheduled()] = Option(1.0, description="factor of the distance")

    def wiring(self) -> Wiring:
        return Wiring(provides={"sdf": ("points",), "sdf_gradient": ("points",)})

    def capabilities(self) -> frozenset[str]:
        return frozenset({"signed", "metric"})


class ShadeConfig(FieldConfig):
    """A number at each point, linear in it."""

    role: ClassVar[str] = "shade"

    def wiring(self) -> Wiring:
        return Wiring(provides={"toy/shade": ("points",)})


class DotsConfig(FieldConfig):
    """Elements whose number may change."""

    role: ClassVar[str] = "dots"
    count: int = Option(6, ge=1, description="how many at the start")

    def wiring(self) -> Wiring:
        return Wiring(provides={"toy/place": ()})

    def optimisers(self) -> Mapping[str, Adam | SparseAdam]:
        return {"": Adam(lr=1e-2), "mass": Adam(lr=1e-3)}


class ItemsConfig(DataConfig):
    """Points with the distance to a sphere of radius 0.5; those of set val are others."""

    class Draw(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True)

        batch: int = Option(8, ge=1, description="points of a batch")

    items: int = Option(20, ge=1, description="how many there are")
    timed: bool = Option(False, description="three time stamps, and a time at each point")
    twice: bool = Option(False, description="serve the batches of ranks 0 and 1 together")

    def sets(self) -> Mapping[str, tuple[str, ...]]:
        given = ("points", "sdf", *(["time"] if self.timed else []))
        return {"train": given, "val": given}


class NearDotsConfig(DataConfig):
    """Points about a snapshot of the dots."""

    dots: Annotated[str, Ref("field", "dots")] = Option("dots", description="which dots")
    refresh: int = Option(3, ge=1, description="draws between snapshots")

    def sets(self) -> Mapping[str, tuple[str, ...]]:
        return {"train": ("points",)}


class SurfaceConfig(ComponentConfig):
    """Vertices of the zero level set, as leaves of the graph."""

    resolution: int = Option(12, ge=2, description="cells of a cube from -1 to 1")

    def wiring(self) -> Wiring:
        return Wiring(needs=("sdf",), provides={"vertices": ("sdf",)}, supplies=("points",))


class ShadeRendererConfig(ComponentConfig):
    """The shade at the batch's points."""

    def wiring(self) -> Wiring:
        return Wiring(observes=("points",), provides={"toy/shade": ("toy/shade",), "points": ()})


class OffsetConfig(ComponentConfig):
    """Points moved by their distance, all in one direction."""

    def wiring(self) -> Wiring:
        return Wiring(observes=("points",), needs=("sdf",), provides={"points": ("sdf",), "sdf": ("sdf",)})


class RadiusConfig(ComponentConfig):
    """How far vertices are from a sphere."""

    radius: float = Option(0.7, description="of the sphere")

    def wiring(self) -> Wiring:
        return Wiring(needs=("vertices",))


class ShadeLossConfig(ComponentConfig):
    """How far the shade is from the first coordinate."""

    def wiring(self) -> Wiring:
        return Wiring(needs=("toy/shade",), observes=("points",))


class GatherConfig(ComponentConfig):
    """How far the dots are from a place."""

    def wiring(self) -> Wiring:
        return Wiring(needs=("toy/place",))


class PoisonConfig(ComponentConfig):
    """A distance loss that goes bad at a step of the run."""

    at: int = Option(5, description="step")
    where: Literal["loss", "gradient", "memory", "error"] = Option("loss", description="what goes bad")

    def wiring(self) -> Wiring:
        return Wiring(needs=("sdf",), observes=("sdf",))


class SplitConfig(ComponentConfig):
    """Drops the first dot and copies the last two."""

    field: str = Option("dots", description="which dots")


class TallyConfig(ComponentConfig):
    """Counts its calls and moves the ball by the count."""


class SpoilConfig(ComponentConfig):
    """Sets the ball's radius to NaN."""


class BreakConfig(ComponentConfig):
    """Raises an error."""


class LevelSetConfig(ComponentConfig):
    """Options of the toy level-set update."""

    field: Annotated[str, Ref("field", "sdf")] = Option("sdf", description="SDF that is evolved")
    dt: float = Option(0.1, gt=0, description="time step")
    inner_steps: int = Option(20, ge=1, description="steps of the inner fit")
