"""Options of the fields that say how a surface looks, and from where it was seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import field_validator

from ..config import Adam, FieldConfig, Option, Ref, Slot, SparseAdam, Spec, Unit, Wiring, of_space


class MlpColorConfig(FieldConfig):
    """Options of `mlp_color`."""

    role: ClassVar[str] = "color"

    sdf: Annotated[str | None, Ref("field", "sdf")] = Option(
        "sdf", description="field whose feature channels are taken too, where it has any; none takes no features"
    )
    view_encoder: Annotated[Spec, Slot("encoder", "identity")] = Option(
        description="what the direction to the camera becomes first"
    )
    mode: Literal["idr", "no_view_dir", "no_normal"] = Option(
        "idr", description="of position, direction and normal take all; or leave one out (IDR's ablations)"
    )
    normals: Literal["unit", "gradient"] = Option(
        "unit", description="normals of length 1, or the gradient of the distance as it is (the released IDR)"
    )
    width: int = Option(256, ge=1, description="units of a hidden layer")
    layers: int = Option(4, ge=1, description="number of hidden layers")
    weight_norm: bool = Option(True, description="learn direction and length of each weight row apart")

    @field_validator("view_encoder")
    @classmethod
    def _of_space(cls, encoder: Spec) -> Spec:
        return of_space(encoder)

    def wiring(self) -> Wiring:
        needs = ["points"]
        needs += ["view_direction"] if self.mode != "no_view_dir" else []
        needs += ["sdf_gradient"] if self.mode != "no_normal" else []
        needs += ["feature?"] if self.sdf else []
        return Wiring(provides={"color": tuple(needs)})


class CameraPosesConfig(FieldConfig):
    """Options of `camera_poses`."""

    role: ClassVar[str] = "cameras"

    data: Annotated[str, Ref("data")] = Option("images", description="data table whose cameras are the start")
    form: Literal["absolute", "increment"] = Option(
        "absolute",
        description="what is learnt: quaternion and centre; or, on the start, how each camera turns about itself and "
        "how it moves around the origin: photographs tell that at once, this by parallax alone",
    )
    rotation_noise: Annotated[float, Unit("degrees")] = Option(
        0.0, ge=0, description="angle by which each start is turned, about an axis drawn at random"
    )
    center_noise: float = Option(
        0.0, ge=0, description="length by which each start is shifted, as a share of its distance from what all look at"
    )

    def wiring(self) -> Wiring:
        return Wiring(provides={"world_to_camera": ("view",)})

    def optimisers(self) -> Mapping[str, Adam | SparseAdam]:
        return {"": SparseAdam(lr=1e-4)}
