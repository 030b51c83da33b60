"""Options of fake renderers, losses, integrators, updates and callbacks."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from neuralfw.config import ComponentConfig, Number, Option, Ref, Scheduled, Slot, Spec, Wiring

PICTURES = ("rgb", "alpha", "depth", "normal")


class Query(ComponentConfig):
    def wiring(self) -> Wiring:
        passed = ("sdf", "sdf_gradient", "sdf_time_derivative", "feature", "latent", "velocity", "velocity_gradient")
        return Wiring(observes=("points",), provides={q: (q,) for q in passed} | {"normal": ("sdf_gradient",)})


class Pull(ComponentConfig):
    def wiring(self) -> Wiring:
        provides = dict.fromkeys(("pulled", "sdf", "sdf_gradient"), ("sdf", "sdf_gradient"))
        return Wiring(observes=("points",), needs=("sdf", "sdf_gradient"), provides=provides)


class Transport(ComponentConfig):
    def wiring(self) -> Wiring:
        residual = ("sdf_gradient", "sdf_time_derivative", "velocity")
        provides = {"sdf": ("sdf",), "sdf_gradient": ("sdf_gradient",), "transport_residual": residual}
        return Wiring(observes=("points", "time"), provides=provides)


class Advect(ComponentConfig):
    integrator: Annotated[Spec, Slot("integrator", "euler")] = Option(description="how points are carried")

    def wiring(self) -> Wiring:
        carried = dict.fromkeys(("points", "time", "velocity"), ("velocity",))
        passed = {q: (q,) for q in ("velocity_gradient", "velocity_time_derivative")}
        return Wiring(observes=("points",), needs=("velocity",), provides={**carried, **passed})


class Splat(ComponentConfig):
    backend: Literal["auto", "numba", "gsplat"] = Option("auto", description="who rasterises")

    def wiring(self) -> Wiring:
        return Wiring(observes=("view",), provides=dict.fromkeys(PICTURES, ("gaussians",)))


class MeshPictures(ComponentConfig):
    shading: Literal["headlight", "normal"] = Option("headlight", description="how the surface is lit")
    mesher: Annotated[Spec, Slot("mesher", "marching_cubes")] = Option(description="how the surface is extracted")

    def wiring(self) -> Wiring:
        provides = dict.fromkeys(("vertices", "points", *PICTURES), ("sdf", "sdf_gradient"))
        return Wiring(
            observes=("view",), supplies=("points",), provides=provides, requires=self.mesher.config.wiring().requires
        )


class SphereTrace(ComponentConfig):
    sharpness: Annotated[Number, Scheduled(gt=0)] = Option(50.0, description="of the mask's edge")

    def wiring(self) -> Wiring:
        rays = ("sdf", "origin", "direction")
        provides = dict.fromkeys(("points", "alpha", "depth", "normal"), rays) | {"rgb": (*rays, "color")}
        facts = {"requires": ("sdf:signed",), "advises": ("sdf:metric",)}
        return Wiring(observes=("mask?",), supplies=("points",), provides=provides, **facts)


class Neus(ComponentConfig):
    sharpness: float = Option(0.3, gt=0, description="at the start; it is learnt")

    def wiring(self) -> Wiring:
        rays = ("sdf", "sdf_gradient", "origin", "direction")
        own: dict[str, tuple[str, ...]] = {"sharpness": ()}
        provides = own | dict.fromkeys(("alpha", "depth", "normal"), rays) | {"rgb": (*rays, "color")}
        return Wiring(supplies=("points",), provides=provides, requires=("sdf:signed",))


class CurvatureFlow(ComponentConfig):
    def wiring(self) -> Wiring:
        return Wiring(provides={"flow": ("sdf_curvature?",)})


class Gradient(ComponentConfig):
    pass


class LevelSet(ComponentConfig):
    field: Annotated[str, Ref("field", "sdf")] = Option("sdf", description="the field that flows")
    dt: float = Option(1e-4, gt=0, description="step in time")
    inner_steps: int = Option(1, ge=1, description="steps of the fit")
    fit: Literal["l1", "l2"] = Option("l1", description="how targets are fitted")

    def wiring(self) -> Wiring:
        return Wiring(needs=("vertices?", "flow?"), requires=("sdf:signed",))


class Euler(ComponentConfig):
    steps: int = Option(10, ge=1, description="steps from one end to the other")


class Densify(ComponentConfig):
    clone: Literal["copy", "sample"] = Option("copy", description="where a clone is put")


class FitBox(ComponentConfig):
    field: Annotated[str, Ref("field", "sdf")] = Option(description="field whose box is fitted")
    to: Annotated[str, Ref("field", "gaussians")] = Option(description="field that it is fitted to")


class Prune(ComponentConfig):
    min_opacity: float = Option(0.005, ge=0, le=1, description="what is fainter goes")


class Ball(BaseModel):
    model_config = ConfigDict(extra="forbid")

    type: Literal["sphere"] = "sphere"
    radius: float = Field(1.0, gt=0, description="radius")


class SdfRegression(ComponentConfig):
    target: Ball | None = Option(None, description="a known shape, instead of observed distances")

    def wiring(self) -> Wiring:
        return Wiring(needs=("sdf",), observes=() if self.target else ("sdf",))


class LevelSetResidual(ComponentConfig):
    strength: float = Option(1.0, alias="lambda", description="damping, a word that Python keeps for itself")

    def wiring(self) -> Wiring:
        return Wiring(needs=("transport_residual",))


class _Loss(ComponentConfig):
    def wiring(self) -> Wiring:
        return self._wiring  # type: ignore[attr-defined, no-any-return]


def _loss(needs: str, observes: str = "", advises: str = "", **options: Any) -> type[ComponentConfig]:
    model = create_model("Loss", __base__=_Loss, **options)
    wiring = Wiring(needs=tuple(needs.split()), observes=tuple(observes.split()), advises=tuple(advises.split()))
    return type("Loss", (model,), {"_wiring": wiring, "__module__": __name__})


rays = {"reduction": (Literal["all_rays", "hits"], Field("hits", description="what the mean is over"))}

attract = _loss("pulled", "nearest")
chamfer_pull = _loss("pulled", "nearest")
clamped_l1 = _loss("sdf", "sdf", delta=(float, Field(0.1, gt=0, description="largest distance that counts")))
code_norm = _loss("latent")
disk_pull = _loss("pulled", "nearest")
divergence = _loss("velocity_gradient")
dssim = _loss("rgb", "rgb")
eikonal = _loss("sdf_gradient", power=(Literal[1, 2], Field(2, description="1: absolute value, 2: square")))
entropy = _loss("opacities")
l1 = _loss("rgb", "rgb mask?")
laplacian = _loss("vertices", advises="sdf:second_order")
mask_bce = _loss("alpha", "mask", **rays)
matching = _loss("points", "target")
navier_stokes = _loss("velocity velocity_time_derivative", alpha=(float, Field(0.01, ge=0, description="viscosity")))
normal = _loss("sdf_gradient", "normal")
off_surface = _loss("sdf")
orthogonal = _loss("pulled sdf_gradient")
pyramid = _loss("rgb", "rgb")
rgb_l1 = _loss("rgb", "rgb", **rays)
sdf_zero = _loss("sdf")
sharp = _loss("sharpness")
tangent = _loss("tangents")
thin = _loss("scales")
time_smoothness = _loss("sdf_time_derivative")
