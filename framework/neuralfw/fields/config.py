"""Options of core's fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import field_validator

from ..config import Adam, FieldConfig, Option, Ref, Slot, SparseAdam, Spec, Unit, Wiring, encodes_time, of_space


class MlpSdfConfig(FieldConfig):
    """Options of `mlp_sdf`."""

    role: ClassVar[str] = "sdf"

    encoder: Annotated[Spec, Slot("encoder", "identity")] = Option(description="what the coordinates become first")
    width: int = Option(256, ge=1, description="units of a hidden layer")
    layers: int = Option(8, ge=1, description="number of hidden layers")
    skip: tuple[int, ...] = Option((), description="hidden layers that also take the network's input")
    activation: Literal["softplus", "relu", "sine", "tanh", "silu"] = Option("softplus", description="nonlinearity")
    beta: float = Option(100.0, gt=0, description="sharpness of softplus")
    omega: float = Option(30.0, gt=0, description="frequency of sine")
    weight_norm: bool = Option(False, description="learn direction and length of each weight row apart")
    dropout: float = Option(0.0, ge=0, lt=1, description="share of units dropped while training")
    start: Literal["sphere", "plain"] = Option(
        "sphere", description="begin as a sphere (softplus and relu by their weights, others on top of one), or plainly"
    )
    radius: Annotated[float, Unit("scene units")] = Option(0.5, gt=0, description="radius of that sphere")
    center: Annotated[tuple[float, float, float], Unit("scene units")] = Option(
        (0.0, 0.0, 0.0), description="centre of that sphere"
    )
    inside_out: bool = Option(False, description="begin with the inside around the sphere, as for rooms")
    features: int = Option(0, ge=0, description="feature channels beside the distance")
    time: Literal["raw"] | None = Option(
        None,
        description="how time enters besides by the encoder: not at all, or as a coordinate",
    )
    latent: Annotated[str | None, Ref("field", "latents")] = Option(None, description="field of latent codes")
    kernel: Literal["auto", "torch", "cpp"] = Option("auto", description="who does the elementwise passes on a CPU")
    precision: Literal["fp32", "bf16"] = Option("fp32", description="number format of the hidden layers")

    @property
    def timed(self) -> bool:
        """Whether the distance depends on time."""
        return self.time is not None or encodes_time(self.encoder)

    def inputs(self) -> tuple[str, ...]:
        """Return the quantities at which the field is evaluated."""
        return ("points", *(["time"] if self.timed else []), *(["latent"] if self.latent else []))

    def wiring(self) -> Wiring:
        given = ["sdf", "sdf_gradient"]
        given += ["feature"] if self.features else []
        given += ["sdf_time_derivative"] if self.timed else []
        return Wiring(provides=dict.fromkeys(given, self.inputs()))

    def capabilities(self) -> frozenset[str]:
        facts = {"signed", "metric"}
        facts |= {"second_order"} if self.activation != "relu" else set()
        facts |= {"time"} if self.timed else set()
        facts |= {"latent"} if self.latent else set()
        facts |= {"features"} if self.features else set()
        return frozenset(facts)


class LatentsConfig(FieldConfig):
    """Options of `latents`."""

    role: ClassVar[str] = "latents"

    per: Annotated[str, Ref("data")] = Option(description="data table whose shapes each have a code")
    of: Literal["shapes", "ends"] = Option(
        "shapes", description="each shape has a code; or the shapes are pairs of a sequence and have those of both ends"
    )
    dim: int = Option(256, ge=1, description="length of a code; what a pair of a sequence has is twice as long")
    start: Literal["normal", "line", "corners"] = Option(
        "normal", description="drawn; or on a line from 0 to 1 by the first component; or a component for each shape"
    )
    std: float = Option(0.0625, gt=0, description="standard deviation of drawn codes, per component")
    max_norm: float | None = Option(None, gt=0, description="codes are scaled back to this length where they exceed it")

    def wiring(self) -> Wiring:
        return Wiring(provides={"latent": ("index",)})

    def optimisers(self) -> Mapping[str, Adam | SparseAdam]:
        return {"": Adam(lr=1e-3)}


class MlpVelocityConfig(FieldConfig):
    """Options of `mlp_velocity`."""

    role: ClassVar[str] = "velocity"

    encoder: Annotated[Spec, Slot("encoder", "identity")] = Option(description="what the coordinates become first")
    width: int = Option(256, ge=1, description="units of a hidden layer")
    layers: int = Option(8, ge=1, description="number of hidden layers")
    skip: tuple[int, ...] = Option((), description="hidden layers that also take the network's input")
    activation: Literal["softplus", "relu", "sine", "tanh", "silu"] = Option(
        "silu", description="nonlinearity; with relu all second derivatives are 0"
    )
    beta: float = Option(10.0, gt=0, description="sharpness of softplus")
    omega: float = Option(30.0, gt=0, description="frequency of sine")
    start: Literal["rest", "plain"] = Option("rest", description="begin without motion, or as drawn")
    time: Literal["raw"] | None = Option(None, description="how time enters: not at all, or as a coordinate")
    latent: Annotated[str | None, Ref("field", "latents")] = Option(None, description="field of latent codes")

    @field_validator("encoder")
    @classmethod
    def _of_space(cls, encoder: Spec) -> Spec:
        return of_space(encoder)

    def wiring(self) -> Wiring:
        inputs = ("points", *(["time"] if self.time else []), *(["latent"] if self.latent else []))
        given = ("velocity", "velocity_jacobian", "velocity_laplacian")
        return Wiring(provides=dict.fromkeys(given, inputs))

    def capabilities(self) -> frozenset[str]:
        facts = {"second_order"} if self.activation != "relu" else set()
        facts |= {"time"} if self.time else set()
        facts |= {"latent"} if self.latent else set()
        return frozenset(facts)
