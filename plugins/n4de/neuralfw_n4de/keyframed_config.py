"""Options of the distance that has a field for each moment. Imports no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar

from neuralfw.config import FieldConfig, Option, Slot, Spec, Wiring


class KeyframedSdfConfig(FieldConfig):
    """Options of `keyframed_sdf`."""

    role: ClassVar[str] = "sdf"

    of: Annotated[Spec, Slot("field", "mlp_sdf")] = Option(description="the SDF of a moment")
    moments: int = Option(5, ge=2, description="how many these are, evenly spaced, first and last included")

    def wiring(self) -> Wiring:
        provides = {q: (*needs, "time") for q, needs in self.of.config.wiring().provides.items()}
        return Wiring(provides={**provides, "sdf_time_derivative": provides["sdf"]})

    def capabilities(self) -> frozenset[str]:
        assert isinstance(self.of.config, FieldConfig)
        return self.of.config.capabilities() | {"time"}
