"""Options of the renderer. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from neuralfw.config import ComponentConfig, Number, Option, Scheduled, Unit, Wiring


class SurfaceConfig(ComponentConfig):
    """Options of `surface`."""

    resolution: Annotated[Number, Scheduled(ge=4)] = Option(
        64.0, description="cells along the longest edge of the box in which the surface is extracted"
    )
    padding: float = Option(0.1, ge=0, description="margin about the scene's box, as a share of its longest edge")
    size: Annotated[float | None, Unit("scene units")] = Option(
        None, gt=0, description="half the edge of a cube about the origin, instead of the scene's box"
    )

    def wiring(self) -> Wiring:
        return Wiring(
            needs=("sdf",),
            observes=("time?", "latent?"),
            supplies=("points",),
            provides=dict.fromkeys(("vertices", "faces"), ("sdf",)),
            requires=("sdf:signed",),
        )


class MeshConfig(SurfaceConfig):
    """Options of `mesh`."""

    backend: Literal["auto", "cpu", "plain", "nvdiffrast"] = Option(
        "auto", description="who draws: auto takes nvdiffrast where it works on a CUDA device, else cpu"
    )
    shading: Literal["none", "head_light", "environment"] = Option(
        "none",
        description="colours as they are; times the cosine to the optical axis; or times spherical harmonics of degree "
        "2 of the normal, which are learnt",
    )
    strength: Annotated[Number, Scheduled(ge=0)] = Option(1.0, description="brightness of the head light")
    colors: Literal["field", "albedo"] = Option(
        "field", description="those of the scene's colour field, where it has one; or one colour in any case"
    )
    albedo: tuple[float, float, float] = Option((1.0, 1.0, 1.0), description="that colour")
    silhouettes: Literal["auto", "all", "shown"] = Option(
        "auto",
        description="which edges are blended, and have a gradient: all; those of faces in the centre of a pixel, as "
        "nvdiffrast does, of which a fine mesh has few; auto takes all where the backend can",
    )
    near: float = Option(1e-3, gt=0, description="what lies less deep is not seen, scene units")

    def wiring(self) -> Wiring:
        cameras = "world_to_camera?"
        color = ("color?",) if self.colors == "field" else ()
        return Wiring(
            needs=("sdf", *color, cameras),
            observes=("world_to_camera", "intrinsics", "size", "view?", "background?"),
            supplies=("points", "view_direction", "sdf_gradient"),
            provides={
                "rgb": ("sdf", *color, cameras),
                **dict.fromkeys(("alpha", "depth", "normal"), ("sdf", cameras)),
                **dict.fromkeys(("vertices", "faces"), ("sdf",)),
            },
            requires=("sdf:signed",),
        )


class PyramidConfig(ComponentConfig):
    """Options of `pyramid`."""

    levels: int = Option(5, ge=1, description="sizes at which the images are compared, each half of the one before")
    alpha: bool = Option(True, description="compare opacity with the mask too, where there is one")

    def wiring(self) -> Wiring:
        opacity = ("alpha?", "mask?") if self.alpha else ()
        return Wiring(needs=("rgb", *opacity[:1]), observes=("rgb", *opacity[1:]))


class LaplacianConfig(ComponentConfig):
    """Options of `laplacian`."""

    def wiring(self) -> Wiring:
        return Wiring(needs=("vertices", "faces"))


class AreaConfig(ComponentConfig):
    """Options of `area`."""

    def wiring(self) -> Wiring:
        return Wiring(needs=("vertices", "faces"))


class CarveConfig(ComponentConfig):
    """Options of `carve`."""

    def wiring(self) -> Wiring:
        return Wiring(needs=("vertices", "faces"), observes=("mask", "world_to_camera", "intrinsics"))
