"""Options of the volume renderers. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import model_validator

from neuralfw.config import ComponentConfig, Option, Unit, Wiring


class VolumeConfig(ComponentConfig):
    """Options that `neus` and `volsdf` share; those that `sphere_trace` has too are called as there."""

    sampling: Literal["grid", "network"] = Option(
        "grid",
        description="what tells where samples go: a coarse grid of the distance; or the distance itself, in rounds, as "
        "NeuS does, also where a batch fixes a time or a code, with which the grid would change",
    )
    bounds: Literal["sphere", "box"] = Option(
        "sphere", description="surfaces lie in a sphere about the origin; or in the scene's box"
    )
    radius: Annotated[float, Unit("scene units")] = Option(1.0, gt=0, description="radius of that sphere")
    places: int = Option(64, ge=4, description="equidistant places of a ray that tell where samples go")
    rounds: int = Option(4, ge=0, description="how often a quarter as many are added near the surface, with network")
    samples: int = Option(24, ge=2, description="samples of a ray, at which the fields are evaluated")
    resolution: int = Option(64, ge=8, description="nodes of the grid along each axis")
    refresh: Annotated[int, Unit("steps")] = Option(50, ge=1, description="steps after which the grid is made anew")
    min_weight: float = Option(1e-4, ge=0, lt=1, description="samples that count less in a ray are not shaded")
    background: Literal["given", "learned"] = Option(
        "given", description="what shows through: the batch's background, else black; or a light field that is learnt"
    )
    chunk: int = Option(4096, ge=1, description="rays at a time of whole images without gradients")

    def wiring(self) -> Wiring:
        cameras = "world_to_camera?"
        shaded = {"rgb": "color", "normal": "sdf_gradient", "sdf_gradient": "sdf_gradient"}
        seen = dict.fromkeys(("points", "alpha", "alpha_logit", "depth"), ("sdf", cameras))
        return Wiring(
            needs=("sdf", cameras),
            observes=("world_to_camera", "intrinsics", "size?", "pixels?", "view?", "background?", "mask?"),
            supplies=("points", "view_direction"),
            provides={**{q: (need, "sdf", cameras) for q, need in shaded.items()}, **seen},
            requires=("sdf:signed",),
        )


class NeusConfig(VolumeConfig):
    """Options of `neus`."""

    start: Annotated[float, Unit("1/scene unit")] = Option(
        20.0, gt=0, description="sharpness s at the start: the density is spread over about 2/s around the surface"
    )


class VolsdfConfig(VolumeConfig):
    """Options of `volsdf`."""

    start: Annotated[float, Unit("scene units")] = Option(
        0.1, gt=0, description="beta at the start: the width of the density around the surface"
    )
    least: Annotated[float, Unit("scene units")] = Option(1e-4, gt=0, description="beta does not fall below this")

    @model_validator(mode="after")
    def _starts_above(self) -> VolsdfConfig:
        if self.start <= self.least:
            raise ValueError(f"start must exceed least, found {self.start} <= {self.least}")
        return self
