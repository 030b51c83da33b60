"""Options of the fields that say how a moving surface looks. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import field_validator, model_validator

from neuralfw.config import Adam, FieldConfig, Option, Ref, Slot, SparseAdam, Spec, Unit, Wiring, of_space
from neuralfw_gaussians.render_config import GAUSSIANS


class SurfaceColorConfig(FieldConfig):
    """Options of `surface_color`."""

    role: ClassVar[str] = "color"

    encoder: Annotated[Spec, Slot("encoder", "hash_grid")] = Option(description="what the coordinates become first")
    time: Literal["raw", "moments"] | None = Option(
        None,
        description="how time enters: not at all; as a coordinate; or as shares of evenly spaced moments, so that each "
        "has colours of its own, blended in between",
    )
    moments: int = Option(5, ge=2, description="how many these are, first and last of the sequence included")
    degree: int = Option(3, ge=0, le=3, description="degree of the spherical harmonics; 0: the same from everywhere")
    normals: bool = Option(False, description="take the surface's normal too, of which light is a simple function")
    width: int = Option(128, ge=1, description="units of a hidden layer")
    layers: int = Option(4, ge=1, description="number of hidden layers")

    @field_validator("encoder")
    @classmethod
    def _of_space(cls, encoder: Spec) -> Spec:
        return of_space(encoder)

    def wiring(self) -> Wiring:
        needs = ["points", *(["time"] if self.time else []), *(["view_direction"] if self.degree else [])]
        needs += ["sdf_gradient"] if self.normals else []
        return Wiring(provides={"color": tuple(needs)})

    def capabilities(self) -> frozenset[str]:
        return frozenset({"time"} if self.time else ())

    def optimisers(self) -> Mapping[str, Adam | SparseAdam]:
        return {"": Adam(lr=1e-3, eps=1e-15)}


class SurfaceSplatsConfig(FieldConfig):
    """Options of `surface_splats`."""

    role: ClassVar[str] = "gaussians"

    sdf: Annotated[str, Ref("field", "sdf")] = Option("sdf", description="field on whose zero level set they lie")
    color: Annotated[str, Ref("field", "color")] = Option(
        "color", description="surface_color field of which they have colour, opacity and rotation"
    )
    attached: bool = Option(
        False, description="gradients move the distance too, by ∂x/∂φ = -n/|∇φ|; else positions are constants"
    )
    samples: int | None = Option(
        None, ge=1, description="so many, evenly over the surface; default: one at each vertex of its mesh"
    )
    resolution: int = Option(64, ge=4, description="cells along the edge of the cube in which the surface is extracted")
    size: Annotated[float, Unit("scene units")] = Option(1.0, gt=0, description="half that edge")
    scale: Annotated[float, Unit("cells")] = Option(1.0, gt=0, description="standard deviation, the same for all")
    thickness: float = Option(
        1.0, gt=0, le=1, description="that along the normal, as a share; below 1 they are disks on the surface"
    )

    @model_validator(mode="after")
    def _apart(self) -> SurfaceSplatsConfig:
        if self.samples is not None and self.attached:
            raise ValueError("samples and attached exclude each other: samples are constants")
        return self

    def wiring(self) -> Wiring:
        return Wiring(provides=dict.fromkeys(GAUSSIANS, ("time?",)))
