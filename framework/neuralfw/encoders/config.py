"""Options of core's encoders."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import field_validator

from ..config import EncoderConfig, Number, Option, Scheduled, Slot, Spec, of_space


class IdentityConfig(EncoderConfig):
    """Options of `identity`: none."""


class FrequencyConfig(EncoderConfig):
    """Options of `frequency`."""

    bands: int = Option(6, ge=1, description="number of octaves")
    scale: float = Option(1.0, gt=0, description="angular frequency of the lowest octave, per scene unit")
    include_input: bool = Option(True, description="keep the coordinates, which a start as a sphere needs")
    active: Annotated[Number | None, Scheduled(ge=0)] = Option(
        None, description="octaves that have faded in so far; default: all. A schedule goes from coarse to fine"
    )


class TimedConfig(EncoderConfig):
    """Options of what makes an encoder of points one of points and times."""

    space: Annotated[Spec, Slot("encoder", "identity")] = Option(description="what the points become")

    @field_validator("space")
    @classmethod
    def _of_space(cls, encoder: Spec) -> Spec:
        return of_space(encoder)

    def inputs(self) -> tuple[str, ...]:
        return ("points", "time")


class TimeFeaturesConfig(TimedConfig):
    """Options of `time_features`."""

    form: Literal["octaves", "transformer"] = Option(
        "octaves", description="angular frequencies π 2ᵏ; or 10000^(-k / bands), of which N4DE takes 32"
    )
    bands: int = Option(2, ge=1, description="number of frequencies, each with a sine and a cosine")


class KeyframesConfig(TimedConfig):
    """Options of `keyframes`."""

    frames: int = Option(5, ge=2, description="moments, evenly from 0 to 1, with features of their own")
    interpolation: Literal["linear", "cubic"] = Option(
        "linear", description="of the features between them: linear, or by Catmull-Rom splines"
    )
