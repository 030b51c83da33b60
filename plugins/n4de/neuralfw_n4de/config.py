"""Options of the plugin's components. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from neuralfw.config import ComponentConfig, DataConfig, EncoderConfig, Number, Option, Ref, Scheduled, Unit, Wiring
from neuralfw.schedules import Linear


class FlowConfig(ComponentConfig):
    """Options of every update that moves a surface by a flow at its vertices."""

    field: Annotated[str, Ref("field", "sdf")] = Option("sdf", description="distance whose surface moves")
    max_faces: int = Option(2_000_000, ge=1, description="a surface of more faces is taken to have exploded")

    def wiring(self) -> Wiring:
        return Wiring(needs=("vertices", "faces"), requires=("sdf:signed",))


class LevelSetConfig(FlowConfig):
    """Options of `level_set`."""

    dt: Annotated[Number | None, Scheduled(gt=0)] = Option(
        None, description="time step; default: as large as max_voxels allows, whatever the losses' scale"
    )
    max_voxels: Annotated[Number, Scheduled(gt=0)] = Option(
        0.5, description="no vertex is asked to move farther than this many voxels, mean edges of the surface"
    )
    smoothing: float = Option(
        0.0, ge=0, description="length over which the flow is smoothed, in voxels (a Sobolev gradient)"
    )
    inner_steps: int = Option(5, ge=1, description="steps of the fit to the targets")
    fit: Literal["l1", "l2"] = Option("l1", description="difference between distance and target: absolute or squared")
    batch: int = Option(16384, ge=1, description="vertices drawn for each step of the fit; all where there are fewer")
    off_surface: int = Option(
        0,
        ge=0,
        description="points off the surface for each step of the fit, half near it, that follow the nearest vertex",
    )
    hold: int = Option(
        0,
        ge=0,
        description="points for each other moment of a sequence that keep their last targets in each step of the fit",
    )


class MeshSdfConfig(FlowConfig):
    """Options of `mesh_sdf`."""


class TimeSmoothnessConfig(ComponentConfig):
    """Options of `time_smoothness`."""

    power: Literal[1, 2] = Option(1, description="1: absolute value, 2: square")

    def wiring(self) -> Wiring:
        return Wiring(needs=("sdf_time_derivative",))


class HandleConfig(ComponentConfig):
    """Options of `handle`."""

    at: tuple[float, float, float] = Option(description="where it takes hold; a point of the data's world")
    move: tuple[float, float, float] = Option(description="how far it goes in one unit of dt; world units")
    radius: Annotated[float, Unit("world units")] = Option(gt=0, description="what lies farther away stays")
    progress: Annotated[Number, Scheduled(ge=0, le=1)] = Option(
        Linear(start=0.0, end=1.0), description="share of its way that it has gone; until the end of the stage"
    )

    def wiring(self) -> Wiring:
        return Wiring(needs=("vertices", "faces"))


class KPlanesConfig(EncoderConfig):
    """Options of `k_planes`."""

    product: Literal["all", "opposite"] = Option(
        "all",
        description="the six planes' features multiplied; or each plane of space with that of the third axis and time, "
        "the three products side by side (HexPlane)",
    )
    features: int = Option(8, ge=1, description="features of each vertex of a plane")
    levels: int = Option(3, ge=1, description="sets of planes, from coarse to fine")
    base: int = Option(16, ge=2, description="vertices along an axis of space of the coarsest planes; they double")
    frames: int = Option(5, ge=2, description="vertices along the axis of time, from 0 to 1, of all planes")
    size: Annotated[float, Unit("scene units")] = Option(
        1.0, gt=0, description="the planes fill the cube [-size, size]³; points outside read its surface"
    )
    include_input: bool = Option(True, description="keep the coordinates, which a start as a sphere needs")

    def inputs(self) -> tuple[str, ...]:
        return ("points", "time")


class SolidConfig(DataConfig):
    """Options of `solid`."""

    shape: Literal["sphere", "ellipsoid", "cube"] = Option(
        "sphere", description="|x| - 1; √Σ(x/a)² - 1 with a = 1, 1.5, 2, which is no distance; max|x_i| - 1"
    )
    radius: Annotated[float, Unit("scene units")] = Option(1.0, gt=0, description="the unit of these formulas")
    size: Annotated[float, Unit("scene units")] = Option(1.0, gt=0, description="points are uniform in [-size, size]³")
    batch: int = Option(16384, ge=1, description="samples of a batch, each at a time of its own")

    def sets(self) -> Mapping[str, tuple[str, ...]]:
        return {"train": ("points", "time", "sdf")}
