"""Options of the distance that has a field for each moment. Imports no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import field_validator

from neuralfw.config import FieldConfig, Option, Slot, Spec, Wiring


class KeyframedSdfConfig(FieldConfig):
    """Options of `keyframed_sdf`."""

    role: ClassVar[str] = "sdf"

    of: Annotated[Spec, Slot("field", "mlp_sdf")] = Option(description="the SDF of a moment")
    moments: int = Option(5, ge=2, description="how many these are, evenly spaced, first and last included")

    @field_validator("of")
    @classmethod
    def _of_a_moment(cls, field: Spec) -> Spec:
        if isinstance(field.config, FieldConfig) and "time" in field.config.capabilities():
            raise ValueError(f"{field.short} takes time as set here; the field of a moment is one of points alone")
        return field

    def wiring(self) -> Wiring:
        provides = {q: (*needs, "time") for q, needs in self.of.config.wiring().provides.items()}
        return Wiring(provides={**provides, "sdf_time_derivative": provides["sdf"]})

    def capabilities(self) -> frozenset[str]:
        assert isinstance(self.of.config, FieldConfig)
        return self.of.config.capabilities() | {"time"}
