"""Options of the field, the callbacks and the losses of Gaussians. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import model_validator

from neuralfw.config import (
    Adam,
    ComponentConfig,
    FieldConfig,
    InputPath,
    Option,
    Ref,
    Slot,
    SparseAdam,
    Spec,
    Unit,
    Wiring,
)
from neuralfw.schedules import Exponential

from .render_config import GAUSSIANS

EPS = 1e-15


class GaussiansConfig(FieldConfig):
    """Options of `gaussians`."""

    role: ClassVar[str] = "gaussians"

    data: Annotated[str, Ref("data")] = Option("images", description="data table of the posed images")
    init: Literal["points", "random", "file"] = Option(
        "points", description="start at the data's points, anywhere in its box, or at the points of a file"
    )
    file: InputPath | None = Option(None, description='point cloud, or mesh that is sampled, for init = "file"')
    count: int = Option(100_000, ge=1, description="most Gaussians at the start; exactly so many at random")
    opacity: float = Option(0.1, gt=0, lt=1, description="opacity at the start")
    sh_degree: int = Option(3, ge=0, le=3, description="degree of the spherical harmonics of the colours")
    sh_every: int = Option(1000, ge=0, description="steps of the run after which the degree grows by one; 0: at once")
    surfels: bool = Option(False, description="flat: the third scale stays negligible (as in 2DGS)")
    extent: Annotated[float, Unit("scene units")] = Option(
        1.0, gt=0, description="size of the scene, by which the rate of the means is multiplied"
    )

    @model_validator(mode="after")
    def _file(self) -> GaussiansConfig:
        if (self.init == "file") != (self.file is not None):
            raise ValueError('init = "file" and file go together')
        return self

    def wiring(self) -> Wiring:
        return Wiring(provides=dict.fromkeys(GAUSSIANS, ()))

    def optimisers(self) -> Mapping[str, Adam | SparseAdam]:
        """Return the rates of 3D Gaussian splatting (arXiv 2308.04079, and its released code)."""
        rate = 1.6e-4 * self.extent
        return {
            "means": Adam(lr=Exponential(start=rate, end=0.01 * rate), eps=EPS),
            "log_scales": Adam(lr=5e-3, eps=EPS),
            "quaternions": Adam(lr=1e-3, eps=EPS),
            "opacity_logits": Adam(lr=0.05, eps=EPS),
            "sh_dc": Adam(lr=2.5e-3, eps=EPS),
            "sh_rest": Adam(lr=1.25e-4, eps=EPS),
        }


class OnGaussiansConfig(ComponentConfig):
    """The option that the callbacks share."""

    field: Annotated[str, Ref("field", "gaussians")] = Option("gaussians", description="field that is changed")


class DensifyConfig(OnGaussiansConfig):
    """Options of `densify`."""

    interval: int = Option(100, ge=1, description="steps from one densification to the next")
    begin: int = Option(500, ge=0, description="step of the stage after which the first may come")
    finish: int = Option(15_000, ge=0, description="step of the stage from which there is none")
    gradient: float = Option(2e-4, gt=0, description="mean screen gradient, in units of half an image, that makes more")
    absolute: bool = Option(False, description="take the sums of absolute gradients (AbsGS): raise gradient to 6e-4")
    split_scale: Annotated[float, Unit("extents")] = Option(
        0.01, gt=0, description="larger Gaussians are split in two, smaller ones cloned"
    )
    clone: Literal["copy", "sample"] = Option("copy", description="a clone lies where it was, or is drawn from it")
    min_opacity: float = Option(0.005, ge=0, lt=1, description="fainter ones are dropped")
    max_scale: Annotated[float, Unit("extents")] = Option(
        0.1, gt=0, description="larger ones are dropped after a reset"
    )
    max_count: int = Option(1_000_000, ge=1, description="no more than so many; the largest gradients come first")
    reset: int = Option(3000, ge=0, description="steps between resets of the opacities to at most 0.01; 0: none")
    extent: Annotated[float, Unit("scene units")] = Option(1.0, gt=0, description="size of the scene")

    def wiring(self) -> Wiring:
        return Wiring(needs=("gaussians/screen_gradient", "gaussians/radii"))


class McmcConfig(OnGaussiansConfig):
    """Options of `mcmc`."""

    interval: int = Option(100, ge=1, description="steps from one relocation to the next")
    begin: int = Option(500, ge=0, description="step of the stage after which the first may come")
    finish: int = Option(25_000, ge=0, description="step of the stage from which there is none")
    max_count: int = Option(1_000_000, ge=1, description="Gaussians at the end")
    growth: float = Option(0.05, ge=0, description="share by which their number grows each time")
    min_opacity: float = Option(0.005, gt=0, lt=1, description="fainter ones move to where others are")
    noise: float = Option(5e5, ge=0, description="strength of the noise, times the rate of the means")


class PruneConfig(OnGaussiansConfig):
    """Options of `prune`."""

    min_opacity: float = Option(0.0, ge=0, lt=1, description="fainter ones are dropped")
    max_scale: Annotated[float | None, Unit("scene units")] = Option(None, gt=0, description="larger ones are dropped")
    outside: float | None = Option(
        None, ge=0, description="centres farther outside the data's box are dropped, as a share of its longest edge"
    )


class OpacityResetConfig(OnGaussiansConfig):
    """Options of `opacity_reset`."""

    opacity: float = Option(0.01, gt=0, lt=1, description="opacities are brought down to it")


class OnSurfaceConfig(OnGaussiansConfig):
    """Options of `on_surface`."""

    sdf: Annotated[str, Ref("field", "sdf")] = Option("sdf", description="field on whose zero level set they are laid")
    mesher: Annotated[Spec, Slot("mesher", "marching_cubes")] = Option(description="finds that surface")


class OnFieldConfig(ComponentConfig):
    """Options of losses that are on the Gaussians alone: none."""

    needed: ClassVar[str]

    def wiring(self) -> Wiring:
        return Wiring(needs=(self.needed,))


class ThinConfig(OnFieldConfig):
    """Options of `thin`: none."""

    needed = "gaussians/scales"


class ScaleConfig(OnFieldConfig):
    """Options of `scale`: none."""

    needed = "gaussians/scales"


class OpacityConfig(OnFieldConfig):
    """Options of `opacity`."""

    needed = "gaussians/opacities"

    target: Literal[0, 1] = Option(0, description="what opacities are drawn to: none (MCMC), or solid (GS-Pull)")


class EntropyConfig(OnFieldConfig):
    """Options of `entropy`: none."""

    needed = "gaussians/opacities"


class NormalConsistencyConfig(ComponentConfig):
    """Options of `normal_consistency`: none."""

    def wiring(self) -> Wiring:
        return Wiring(needs=("normal", "depth", "alpha"), observes=("intrinsics", "world_to_camera"))
