"""Options of fake fields, encoders, meshers and data."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from neuralfw.config import (
    ComponentConfig,
    DataConfig,
    FieldConfig,
    InputPath,
    Length,
    Number,
    Option,
    Ref,
    Scheduled,
    Slot,
    Spec,
    Wiring,
)  # fmt: skip

Encoder = Annotated[Spec, Slot("encoder", "identity")]


class Identity(ComponentConfig):
    pass


class Frequency(ComponentConfig):
    bands: int = Option(6, ge=1, description="number of octaves")
    include_input: bool = Option(True, description="keep the coordinates themselves")


class HashGrid(ComponentConfig):
    levels: int = Option(16, ge=1, description="number of grids")
    features: int = Option(2, ge=1, description="features of a cell")
    base: int = Option(16, ge=1, description="cells of the coarsest grid")
    growth: float = Option(1.38, gt=1, description="ratio of neighbouring grids")


class Sinusoid(ComponentConfig):
    dim: int = Option(64, ge=1, description="number of features")


class Raw(ComponentConfig):
    pass


class MlpSdf(FieldConfig):
    role: ClassVar[str] = "sdf"

    width: int = Option(256, ge=1, description="units of a hidden layer")
    layers: int = Option(8, ge=1, description="number of hidden layers")
    skip: tuple[int, ...] = Option((), description="layers that also take the input")
    activation: Literal["softplus", "relu", "tanh"] = Option("softplus", description="nonlinearity")
    weight_norm: bool = Option(False, description="learn direction and length apart")
    radius: float = Option(0.5, gt=0, description="radius of the sphere the field starts as")
    features: int = Option(0, ge=0, description="feature channels beside the distance")
    dropout: float = Option(0.0, ge=0, lt=1, description="share of units dropped")
    encoder: Encoder = Option(description="what coordinates become first")
    time: Annotated[Spec | None, Slot("encoder")] = Option(None, description="how time enters")
    latent: Annotated[str | None, Ref("field", "latents")] = Option(None, description="field of codes")

    def wiring(self) -> Wiring:
        inputs = ("points", *(["time"] if self.time else []), *(["latent"] if self.latent else []))
        given = ["sdf", "sdf_gradient"]
        given += ["feature"] if self.features else []
        given += ["sdf_time_derivative"] if self.time else []
        return Wiring(provides=dict.fromkeys(given, inputs))

    def capabilities(self) -> frozenset[str]:
        facts = {"signed", "metric"} | ({"time"} if self.time else set())
        return frozenset(facts | ({"second_order"} if self.activation != "relu" else set()))


class Decoder(FieldConfig):
    role: ClassVar[str] = "sdf"

    latent: Annotated[str, Ref("field", "latents")] = Option(description="field of codes")

    def wiring(self) -> Wiring:
        return Wiring(provides=dict.fromkeys(("sdf", "sdf_gradient"), ("points", "latent")))

    def capabilities(self) -> frozenset[str]:
        return frozenset({"signed", "latent"})


class UnsignedMlp(FieldConfig):
    role: ClassVar[str] = "sdf"

    def wiring(self) -> Wiring:
        return Wiring(provides=dict.fromkeys(("sdf", "sdf_gradient"), ("points",)))


class Latents(FieldConfig):
    role: ClassVar[str] = "latents"

    per: Annotated[str, Ref("data")] = Option(description="data table whose shapes each have a code")
    dim: int = Option(256, ge=1, description="length of a code")
    std: float = Option(0.0625, gt=0, description="spread of the codes' start")
    max_norm: float | None = Option(None, gt=0, description="longest code")

    def wiring(self) -> Wiring:
        return Wiring(provides={"latent": ("index",)})


class MlpVelocity(FieldConfig):
    role: ClassVar[str] = "velocity"

    width: int = Option(256, ge=1, description="units of a hidden layer")
    layers: int = Option(8, ge=1, description="number of hidden layers")
    skip: tuple[int, ...] = Option((), description="layers that also take the input")
    activation: Literal["softplus", "silu"] = Option("softplus", description="nonlinearity")
    time: Annotated[Spec | None, Slot("encoder")] = Option(None, description="how time enters")

    def wiring(self) -> Wiring:
        inputs = ("points", "time") if self.time else ("points",)
        return Wiring(provides=dict.fromkeys(("velocity", "velocity_gradient", "velocity_time_derivative"), inputs))


class Color(FieldConfig):
    role: ClassVar[str] = "color"

    mode: Literal["idr", "no_normal"] = Option("idr", description="what the colour depends on")
    view_encoder: Encoder = Option(description="what view directions become first")

    def wiring(self) -> Wiring:
        return Wiring(provides={"color": ("points", "sdf_gradient", "feature")})


class Cameras(FieldConfig):
    role: ClassVar[str] = "cameras"

    data: Annotated[str, Ref("data")] = Option(description="data table whose cameras are learnt")

    def wiring(self) -> Wiring:
        return Wiring(provides=dict.fromkeys(("origin", "direction"), ("view", "pixel")))


class Gaussians(FieldConfig):
    role: ClassVar[str] = "gaussians"

    init: Literal["points", "random"] = Option("points", description="where they start")
    opacity: float = Option(0.1, gt=0, lt=1, description="opacity at the start")

    def wiring(self) -> Wiring:
        return Wiring(provides={"gaussians": (), "scales": (), "opacities": ()})


class PulledGaussians(FieldConfig):
    role: ClassVar[str] = "gaussians"

    gaussians: Annotated[str, Ref("field", "gaussians")] = Option("gaussians", description="what is pulled")
    sdf: Annotated[str, Ref("field", "sdf")] = Option("sdf", description="the field they are pulled onto")
    min_scale: float = Option(1e-3, gt=0, description="thinnest axis")

    def wiring(self) -> Wiring:
        return Wiring(provides={"gaussians": (), "tangents": ()})


class GaussiansView(FieldConfig):
    role: ClassVar[str] = "gaussians"

    of: Annotated[str, Ref("field", "gaussians")] = Option(description="the field that is seen")
    opacity_min: float = Option(0.0, ge=0, le=1, description="least opacity")

    def wiring(self) -> Wiring:
        return Wiring(provides={"gaussians": ()})


class SurfaceSplats(FieldConfig):
    role: ClassVar[str] = "gaussians"

    sdf: Annotated[str, Ref("field", "sdf")] = Option("sdf", description="the field whose surface carries them")
    encoder: Encoder = Option(description="what coordinates become first")

    def wiring(self) -> Wiring:
        return Wiring(provides={"gaussians": ("time?",)})


class MarchingCubes(ComponentConfig):
    resolution: Annotated[Number, Scheduled(ge=2)] = Option(256, description="cells along the longest edge")
    jitter: int = Option(0, ge=0, description="cells by which the grid is moved at random")

    def wiring(self) -> Wiring:
        return Wiring(needs=("sdf",), requires=("sdf:signed",))


class Drawing(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Points(DataConfig):
    class Draw(Drawing):
        batch: int = Option(4096, ge=1, description="points of a batch")

    path: InputPath = Option(description="point cloud")
    normals: Literal["auto", "none"] = Option("auto", description="use normals or not")

    def sets(self) -> Mapping[str, tuple[str, ...]]:
        return {"train": ("points", "normal") if self.normals == "auto" else ("points",)}


class SdfSamples(DataConfig):
    class Draw(Drawing):
        items: int = Option(1, ge=1, description="shapes of a batch")
        points: int = Option(1024, ge=1, description="points of a shape")
        accumulate: int = Option(1, ge=1, description="parts of a batch")

    path: InputPath = Option(description="folder of samples")
    split: InputPath | None = Option(None, description="list of shapes")

    def sets(self) -> Mapping[str, tuple[str, ...]]:
        return dict.fromkeys(("balanced", "all"), ("points", "sdf", "index"))


class Images(DataConfig):
    class Draw(Drawing):
        views: int = Option(1, ge=1, description="images of a batch")
        rays: int = Option(1024, ge=1, description="pixels of a batch")

    path: InputPath = Option(description="folder of images")
    cameras: str = Option("cameras.npz", description="file of the cameras")
    init_points: Literal["sparse", "dense"] = Option("sparse", description="which points come with the images")

    def sets(self) -> Mapping[str, tuple[str, ...]]:
        return dict.fromkeys(("train", "test"), ("view", "pixel", "origin", "direction", "rgb", "mask"))


class Sequence(DataConfig):
    path: InputPath = Option(description="folder of meshes")
    views: int = Option(50, ge=1, description="cameras around the object")
    size: int = Option(512, ge=1, description="edge of an image")
    every: Length = Option(1, description="frames from one to the next")

    def sets(self) -> Mapping[str, tuple[str, ...]]:
        cameras = ("view", "pixel", "origin", "direction", "time")
        return {"train": (*cameras, "rgb", "mask"), "cameras": cameras}


class ShapePair(DataConfig):
    source: InputPath = Option(description="first shape")
    target: InputPath = Option(description="second shape")
    correspondence: InputPath | None = Option(None, description="matching vertices")
    base: Literal[0, 1] = Option(0, description="number of the first vertex")
    direction: Literal["source_to_target", "target_to_source"] = Option(
        "source_to_target", description="who maps to whom"
    )
    batch: int = Option(4096, ge=1, description="points of a batch")

    def sets(self) -> Mapping[str, tuple[str, ...]]:
        return {"surfaces": ("points", "normal", "time"), "matches": ("points", "time", "target")}


class Uniform(DataConfig):
    batch: int = Option(16384, ge=1, description="samples of a batch")
    time: bool = Option(False, description="also draw a time")

    def sets(self) -> Mapping[str, tuple[str, ...]]:
        return {"train": ("points", "time") if self.time else ("points",)}


class NearSurface(DataConfig):
    data: Annotated[str, Ref("data")] = Option(description="data table that holds the surface")
    uniform: float = Option(0.0, ge=0, le=1, description="share of uniform samples")
    time: bool = Option(False, description="also draw a time")

    def sets(self) -> Mapping[str, tuple[str, ...]]:
        return {"train": ("points", "time") if self.time else ("points",)}


class NearGaussians(DataConfig):
    field: Annotated[str, Ref("field", "gaussians")] = Option(description="field of Gaussians")
    neighbours: int = Option(50, ge=1, description="Gaussians near a sample")
    batch: int = Option(10000, ge=1, description="samples of a batch")
    refresh: tuple[Length, ...] = Option((0,), description="steps at which the samples are drawn anew")

    def sets(self) -> Mapping[str, tuple[str, ...]]:
        return {"train": ("points", "nearest")}
