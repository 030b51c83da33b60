"""Options of the plugin's field, samplers and losses. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from neuralfw.config import ComponentConfig, DataConfig, FieldConfig, InputPath, Option, Ref, Unit, Wiring


class DeepSdfDecoderConfig(FieldConfig):
    """Options of `deepsdf_decoder`."""

    role: ClassVar[str] = "sdf"

    width: int = Option(256, ge=1, description="units of a hidden layer")
    layers: int = Option(8, ge=1, description="number of hidden layers")
    skip: tuple[int, ...] = Option((4,), description="layers that also take the network's input, which is appended")
    activation: Literal["relu", "prelu"] = Option("relu", description="prelu has one slope, learnt, for all layers")
    norm: Literal["weight", "layer", "none"] = Option("weight", description="normalisation of the hidden layers")
    dropout: float = Option(0.0, ge=0, lt=1, description="share of hidden units dropped while training")
    latent: Annotated[str | None, Ref("field", "latents")] = Option(None, description="field of latent codes")
    latent_dropout: float = Option(0.0, ge=0, lt=1, description="share of the code dropped while training")
    xyz_in_all: bool = Option(False, description="append the coordinates to the input of every layer")
    start: Literal["plain", "sphere"] = Option(
        "plain", description="begin as drawn, as DeepSDF does; or on top of a sphere, a surface from the first step"
    )
    radius: Annotated[float, Unit("scene units")] = Option(0.5, gt=0, description="radius of that sphere")
    center: Annotated[tuple[float, float, float], Unit("scene units")] = Option(
        (0.0, 0.0, 0.0), description="centre of that sphere"
    )
    tanh: bool = Option(True, description="bound the output by tanh: it is a distance only near the surface then")

    @model_validator(mode="after")
    def _skips(self) -> DeepSdfDecoderConfig:
        if any(not 1 <= k <= self.layers for k in self.skip):
            raise ValueError(f"skip must name layers from 1 to {self.layers}, found {list(self.skip)}")
        return self

    def wiring(self) -> Wiring:
        inputs = ("points", "latent") if self.latent else ("points",)
        return Wiring(provides={"sdf": inputs, "sdf_gradient": inputs})

    def capabilities(self) -> frozenset[str]:
        facts = {"signed"}
        facts |= set() if self.tanh else {"metric"}
        facts |= {"latent"} if self.latent else set()
        return frozenset(facts)


class AlongNormalsConfig(DataConfig):
    """Options of `along_normals`."""

    data: Annotated[str, Ref("data")] = Option("points", description="data table that holds points with normals")
    batch: int = Option(512, ge=1, description="samples of a batch")
    std: Annotated[float, Unit("scene units")] = Option(0.05, gt=0, description="standard deviation of the offsets")
    per_point: int = Option(100, ge=1, description="samples of each point in an epoch")
    mode: Literal["scalar", "componentwise"] = Option(
        "scalar", description="one offset along the normal, or one for each of its components (oblique)"
    )
    fresh: bool = Option(True, description="draw new offsets in each epoch, not the same ones again")

    def sets(self) -> Mapping[str, tuple[str, ...]]:
        return dict.fromkeys(("train", "val"), ("points", "sdf", "index"))


class FreeSpaceConfig(DataConfig):
    """Options of `free_space`."""

    data: Annotated[str, Ref("data")] = Option("points", description="data table that holds the points seen")
    batch: int = Option(4096, ge=1, description="samples of a batch")
    sensor: Annotated[tuple[float, float, float] | None, Unit("world units")] = Option(
        None, description="where the points were seen from; default: what the file states"
    )
    reach: Annotated[float, Unit("scene units")] = Option(
        1.0, gt=0, description="samples lie on the rays, at most so far before a point"
    )

    def sets(self) -> Mapping[str, tuple[str, ...]]:
        return {"train": ("points", "index")}


class SdfSamplesConfig(DataConfig):
    """Options of `sdf_samples`."""

    class Draw(BaseModel):
        """How a pass draws from `sdf_samples`."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        items: int = Option(64, ge=1, description="shapes of a batch")
        points: int = Option(16384, ge=2, description="samples of each of them")

    path: InputPath = Option(description="folder of samples (npz with pos and neg), meshes or clouds; or one file")
    split: InputPath | None = Option(None, description="JSON file {dataset: {class: [instances]}}; default: all files")
    normalize: Literal["each", "none"] = Option(
        "each", description="bring each mesh or cloud into the unit sphere, radius 1/1.03; or take it as it lies"
    )
    samples: int = Option(100_000, ge=100, description="samples made of each mesh or cloud")
    variances: tuple[float, float] = Option(
        (0.005, 0.0005), description="variances of the two offsets of a surface point, squared scene units"
    )

    def sets(self) -> Mapping[str, tuple[str, ...]]:
        return {"balanced": ("points", "sdf", "index")}

    def batch_size(self, draw: BaseModel) -> int:
        return int(getattr(draw, "items", 1)) * int(getattr(draw, "points", 1))


class ClampedL1Config(ComponentConfig):
    """Options of `clamped_l1`."""

    delta: Annotated[float, Unit("scene units")] = Option(0.1, gt=0, description="distances are cut off here")
    reduction: Literal["mean", "sum"] = Option("mean", description="over the samples of a batch")

    def wiring(self) -> Wiring:
        return Wiring(needs=("sdf",), observes=("sdf",))


class CodeNormConfig(ComponentConfig):
    """Options of `code_norm`."""

    form: Literal["norm", "squared"] = Option("norm", description="|z|, or the mean of z² as for an unseen shape")

    def wiring(self) -> Wiring:
        return Wiring(needs=("latent",))


class OutsideConfig(ComponentConfig):
    """Options of `outside`."""

    margin: Annotated[float, Unit("scene units")] = Option(0.0, ge=0, description="distance that is far enough outside")

    def wiring(self) -> Wiring:
        return Wiring(needs=("sdf",))


class UnsignedL1Config(ComponentConfig):
    """Options of `unsigned_l1`: none."""

    def wiring(self) -> Wiring:
        return Wiring(needs=("sdf",), observes=("distance",))


class PullDistanceConfig(ComponentConfig):
    """Options of `pull_distance`."""

    power: Literal[1, 2] = Option(2, description="1: distance, 2: its square, as in the paper")

    def wiring(self) -> Wiring:
        return Wiring(needs=("pulled",), observes=("nearest",))
