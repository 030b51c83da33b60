"""Options of core's encoders."""

from __future__ import annotations

from typing import Annotated

from ..config import ComponentConfig, Number, Option, Scheduled


class IdentityConfig(ComponentConfig):
    """Options of `identity`: none."""


class FrequencyConfig(ComponentConfig):
    """Options of `frequency`."""

    bands: int = Option(6, ge=1, description="number of octaves")
    scale: float = Option(1.0, gt=0, description="angular frequency of the lowest octave, per scene unit")
    include_input: bool = Option(True, description="keep the coordinates, which a start as a sphere needs")
    active: Annotated[Number | None, Scheduled(ge=0)] = Option(
        None, description="octaves that have faded in so far; default: all. A schedule goes from coarse to fine"
    )
