"""Options of the renderer. This module imports no torch."""

from dataclasses import replace
from typing import Annotated

from pydantic import model_validator

from neuralfw.config import ComponentConfig, Option, Slot, Spec, Wiring

Color = tuple[float, float, float]
NEEDED = ("alpha", "normal")


class ToonConfig(ComponentConfig):
    """Options of `toon`."""

    of: Annotated[Spec, Slot("renderer", "sphere_trace")] = Option(description="what renders the normals")
    color: Color = Option((0.95, 0.62, 0.35), description="of what is fully lit")
    shadow: float = Option(0.35, ge=0, le=1, description="brightness of what is not lit, as a share of that colour")
    tones: int = Option(3, ge=2, description="number of tones")
    softness: float = Option(0.1, gt=0, le=1, description="width of the change between tones, as a share of a tone")
    outline: float = Option(0.25, ge=0, lt=1, description="cosine of the angle of view below which a surface is black")
    light: Color = Option((-0.5, -0.7, -1.0), description="direction to the light: right, down, forward of the camera")

    @model_validator(mode="after")
    def _normals_are_rendered(self) -> "ToonConfig":
        if not {*NEEDED} <= {*self.of.config.wiring().provides}:
            raise ValueError(f"of must render {' and '.join(NEEDED)}, which {self.of.short} does not")
        return self

    def wiring(self) -> Wiring:
        inner = self.of.config.wiring()
        toned = tuple(dict.fromkeys(need for quantity in NEEDED for need in inner.provides[quantity]))
        return replace(inner, provides={**inner.provides, "rgb": toned})
