"""Options of the plugin's components. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from neuralfw.config import ComponentConfig, DataConfig, FieldConfig, Length, Option, Ref, Slot, Spec, Unit, Wiring

GAUSSIANS = ("gaussians/means", "gaussians/scales", "gaussians/rotations", "gaussians/opacities", "gaussians/sh")
DISK = ("gs_pull/disk_center", "gs_pull/disk_scales", "gs_pull/disk_axes", "gs_pull/disk_normal")
Corner = tuple[float, float, float]


class PulledGaussiansConfig(FieldConfig):
    """Options of `pulled_gaussians`."""

    role: ClassVar[str] = "gaussians"

    gaussians: Annotated[str, Ref("field", "gaussians")] = Option("gaussians", description="the Gaussians to pull")
    sdf: Annotated[str, Ref("field", "sdf")] = Option("sdf", description="the field on whose zero level set they land")

    def wiring(self) -> Wiring:
        given = (*GAUSSIANS, "gs_pull/disk_normal", "gs_pull/surface_normal")
        return Wiring(provides=dict.fromkeys(given, ()))


class GaussiansViewConfig(FieldConfig):
    """Options of `gaussians_view`."""

    role: ClassVar[str] = "gaussians"

    of: Annotated[str, Ref("field", "gaussians")] = Option("gaussians", description="the Gaussians that are shown")
    opacity_min: float = Option(0.95, ge=0, lt=1, description="opacities below this count as this")

    def wiring(self) -> Wiring:
        return Wiring(provides=dict.fromkeys(GAUSSIANS, ()))


class BoxedSdfConfig(FieldConfig):
    """Options of `boxed_sdf`."""

    role: ClassVar[str] = "sdf"

    of: Annotated[Spec, Slot("field", "mlp_sdf")] = Option(description="the SDF in the unit of the box's longest edge")
    box: Annotated[tuple[Corner, Corner] | None, Unit("world units")] = Option(
        None, description="lower and upper corner; default: the data's box, until a callback fits another"
    )
    unsigned: bool = Option(False, description="the absolute value: a distance to an open surface, without a side")

    def wiring(self) -> Wiring:
        return self.of.config.wiring()

    def capabilities(self) -> frozenset[str]:
        assert isinstance(self.of.config, FieldConfig)
        facts = self.of.config.capabilities()
        return (facts - {"signed"} if self.unsigned else facts) | {"box"}


class PartsConfig(BoxedSdfConfig):
    """Options of `parts`."""

    split: tuple[int, int, int] = Option((2, 1, 2), description="number of blocks along each axis")
    overlap: float = Option(0.05, gt=0, le=0.5, description="how far a block reaches over, as a share of its edge")


class FitBoxConfig(ComponentConfig):
    """Options of `fit_box`."""

    field: Annotated[str, Ref("field", "sdf")] = Option("sdf", description="the field whose box is fitted")
    to: Annotated[str, Ref("field", "gaussians")] = Option("gaussians", description="the Gaussians that it encloses")
    quantile: float = Option(0.0, ge=0, lt=0.5, description="share of the centres left out at each end of an axis")
    min_opacity: float = Option(0.0, ge=0, lt=1, description="Gaussians of a lower opacity do not count")
    margin: float = Option(0.0, ge=0, description="added on each side, as a share of the longest edge")

    def wiring(self) -> Wiring:
        return Wiring(requires=("sdf:box",))


class NearGaussiansConfig(DataConfig):
    """Options of `near_gaussians`."""

    class Draw(BaseModel):
        """How a pass draws from `near_gaussians`."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        batch: int = Option(10_000, ge=1, description="samples of a batch")

    field: Annotated[str, Ref("field", "gaussians")] = Option("gaussians", description="the Gaussians")
    neighbors: int = Option(50, ge=1, description="the spread of a centre is its distance to this neighbour")
    spread: float | None = Option(
        None, gt=0, description="standard deviation of near samples, as a multiple; default: 0.25 max(1, √(n/20000))"
    )
    far: float = Option(0.0, ge=0, lt=1, description="share of samples spread three times as far")
    uniform: float = Option(0.0, ge=0, lt=1, description="share of samples uniform in the SDF's box and its margin")
    padding: float = Option(0.1, ge=0, description="that margin, as a share of the box's longest edge")
    min_opacity: float = Option(0.0, ge=0, lt=1, description="Gaussians of a lower opacity do not count")
    refresh: tuple[Length, ...] = Option((0,), description="steps of the stage at which the centres are taken anew")

    def sets(self) -> Mapping[str, tuple[str, ...]]:
        near, centers = ("points", "nearest", "gs_pull/index"), ("points", "gs_pull/index")
        return {"near": near, "centers": centers, "space": ("points",)}


class SeenGaussiansConfig(NearGaussiansConfig):
    """Options of `seen_gaussians`."""

    images: Annotated[str, Ref("data")] = Option("images", description="the photographs that see them, of set train")
    renderer: Annotated[Spec, Slot("renderer", "splat")] = Option(description="what renders the depth that they see")
    max_size: Annotated[int, Unit("pixels")] = Option(400, ge=1, description="longest side of what is rendered")
    tolerance: float = Option(0.02, gt=0, description="how sure a depth is, as a share of the box's longest edge")
    reach: float = Option(0.05, gt=0, description="how far behind a depth is inside, as a share of that edge")
    votes: int = Option(
        3, ge=1, description="how many depths must be behind what is outside; one pixel off the mask does"
    )
    empty: float = Option(0.1, gt=0, le=1, description="past pixels whose mask is below this, all is outside")

    @model_validator(mode="after")
    def _depth_is_rendered(self) -> SeenGaussiansConfig:
        wiring = self.renderer.config.wiring()
        if not {"depth", "alpha"} <= {*wiring.provides} or "gaussians/means" not in wiring.needs:
            raise ValueError(f"renderer must render depth and alpha of Gaussians, which {self.renderer.short} does not")
        return self

    def sets(self) -> Mapping[str, tuple[str, ...]]:
        given, (side,) = super().sets(), ("gs_pull/side",)
        more = {"near": (side,), "centers": ("normal",), "space": (side,)}
        return {name: (*quantities, *more[name]) for name, quantities in given.items()}


class PullToDisksConfig(ComponentConfig):
    """Options of `pull_to_disks`: none."""

    def wiring(self) -> Wiring:
        moved = dict.fromkeys(("pulled", "sdf", "sdf_gradient", "gs_pull/surface_normal"), ("sdf", "sdf_gradient"))
        disks = dict.fromkeys(DISK, ("gaussians/means", "gaussians/scales", "gaussians/rotations"))
        return Wiring(observes=("points", "gs_pull/index"), needs=("sdf", "sdf_gradient"), provides={**moved, **disks})


class DiskPullConfig(ComponentConfig):
    """Options of `disk_pull`."""

    min_scale: Annotated[float, Unit("scene units")] = Option(
        1e-3, gt=0, description="standard deviations below this count as this"
    )
    limit: float | None = Option(
        None, gt=0, description="standard deviations beyond which the loss grows linearly; default: never"
    )

    def wiring(self) -> Wiring:
        return Wiring(needs=("pulled", "gs_pull/disk_center", "gs_pull/disk_scales", "gs_pull/disk_axes"))


class NearDiskConfig(ComponentConfig):
    """Options of `near_disk`."""

    std: Annotated[float, Unit("scene units")] = Option(5.0, gt=0, description="standard deviation along every axis")
    threshold: float = Option(0.9, ge=0, lt=1, description="only samples whose density is above this count")

    def wiring(self) -> Wiring:
        return Wiring(needs=("pulled",), observes=("nearest",))


class ChamferPullConfig(ComponentConfig):
    """Options of `chamfer_pull`: none."""

    def wiring(self) -> Wiring:
        return Wiring(needs=("pulled",), observes=("nearest",))


class SidedConfig(ComponentConfig):
    """Options of `sided`."""

    margin: Annotated[float, Unit("scene units")] = Option(0.0, ge=0, description="distance that is far enough")

    def wiring(self) -> Wiring:
        return Wiring(needs=("sdf",), observes=("gs_pull/side",))


class AttractConfig(ComponentConfig):
    """Options of `attract`: none."""

    def wiring(self) -> Wiring:
        return Wiring(needs=("pulled", "gs_pull/disk_center"))


class AlignedConfig(ComponentConfig):
    """Options of `tangent` and `orthogonal`: none."""

    def wiring(self) -> Wiring:
        return Wiring(needs=("gs_pull/surface_normal", "gs_pull/disk_normal"))


class UdfConfig(ComponentConfig):
    """Options of `udf`."""

    resolution: int = Option(256, ge=4, le=2048, description="cells along the longest edge of the box")
    padding: float = Option(0.1, ge=0, description="margin about the box, as a share of its longest edge")
    form: Literal["single", "double"] = Option(
        "single", description="one sheet, or two that coincide: the level set `level`, moved back along the gradient"
    )
    level: float = Option(0.002, gt=0, description="that level, as a share of the box's longest edge")
    components: int | None = Option(None, ge=1, description="keep only so many of the largest parts; default: all")
    chunk: int = Option(8192, ge=1, description="points evaluated at once")

    def wiring(self) -> Wiring:
        return Wiring(needs=("sdf", "sdf_gradient"))
