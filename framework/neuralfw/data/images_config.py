"""Options of the datasets of posed photographs. Each format has a name of its own; `images` finds out which it is."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from ..config import DataConfig, InputPath, Option, Unit

CAMERA = ("view", "world_to_camera", "intrinsics", "size", "background")
"""Quantities of a batch without its photographs."""

EVERYTHING = frozenset({"mask", "valid", "depth", "time"})
"""Quantities that some photographs bring."""


class ImagesConfig(DataConfig):
    """Options of `images`, and of every format."""

    format: ClassVar[str | None] = None

    class Draw(BaseModel):
        """How a pass draws from posed photographs."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        views: int = Option(1, ge=1, description="photographs of a batch")
        rays: int | None = Option(None, ge=1, description="pixels drawn from them, instead of whole photographs")
        patch: Annotated[int | None, Unit("pixels")] = Option(
            None, ge=2, description="edge of the square cut from each at random, instead of whole photographs"
        )

        @model_validator(mode="after")
        def _one_layout(self) -> ImagesConfig.Draw:
            if self.rays is not None and self.patch is not None:
                raise ValueError("rays and patch exclude each other: single pixels, or squares")
            return self

    path: InputPath = Option(description="folder of the scene")
    images: str | None = Option(None, description="folder of the photographs inside of it; default: the format's own")
    scale: float = Option(1.0, gt=0, description="factor of the photographs' size")
    max_size: Annotated[int | None, Unit("pixels")] = Option(
        None, ge=1, description="longest side: larger photographs are reduced to it"
    )
    crop: Annotated[tuple[int, int, int, int] | None, Unit("pixels")] = Option(
        None, description="x, y, width and height of the part that is used, after scaling"
    )
    background: Literal["black", "white", "random"] | tuple[float, float, float] = Option(
        "black", description="colour behind what alpha or mask leave out; random: another for each batch"
    )
    masks: Literal["auto", "ignore"] = Option(
        "auto", description="use alpha channels and mask files; or take photographs with all that they show"
    )
    holdout: int | None = Option(
        None, ge=0, description="every how many-th photograph is kept as set test; default: the format's own split"
    )
    init_points: Literal["auto", "sparse", "dense", "hull", "random"] = Option(
        "auto", description="points to start from; auto: the first of dense, sparse, hull, random that there is"
    )
    init_file: InputPath | None = Option(None, description="point cloud in world units to start from, instead")
    init_count: int = Option(20_000, ge=1, description="how many points of the hull, or at random, are drawn")

    def sets(self) -> Mapping[str, tuple[str, ...]]:
        found = self._offered
        masked = ("mask",) if "mask" in found and self.masks == "auto" else ()
        given = ("rgb", *masked, *(q for q in ("valid", "depth", "time") if q in found), *CAMERA)
        held = {} if self.holdout == 0 else {"test": given}
        cameras = (*CAMERA, *(["time"] if "time" in found else []))
        return {"train": given, **held, "val": given, "all": given, "cameras": cameras}

    def batch_size(self, draw: BaseModel) -> int:
        assert isinstance(draw, ImagesConfig.Draw)
        return draw.rays or draw.views

    def reading(self) -> Mapping[str, Any]:
        """Return further arguments of the format's reader."""
        return {}

    def withholding(self) -> tuple[int, int]:
        """Return every how many-th sparse point is withheld (0: none) of those seen in at least so many images."""
        return 0, 0

    @cached_property
    def _offered(self) -> frozenset[str]:
        """Return which optional quantities the photographs bring; all that are possible where they are absent."""
        if not Path(self.path).exists() or Path(self.path).suffix not in ("", ".json"):
            return EVERYTHING
        from ..photos.sniff import offers

        return offers(Path(self.path), self.format, images=self.images, **self.reading())


class ColmapConfig(ImagesConfig):
    """Options of `colmap`."""

    format = "colmap"

    withhold: int = Option(0, ge=0, description="every how many-th sparse point is not started from, to be judged by")
    withhold_track: int = Option(4, ge=0, description="only points seen in at least so many photographs are withheld")

    def withholding(self) -> tuple[int, int]:
        return self.withhold, self.withhold_track


class IdrConfig(ImagesConfig):
    """Options of `idr`."""

    format = "idr"

    cameras: str | None = Option(None, description="npz file of the cameras; default: cameras_sphere or cameras.npz")

    def reading(self) -> Mapping[str, Any]:
        return {"cameras": self.cameras}


class BlenderConfig(ImagesConfig):
    """Options of `blender`."""

    format = "blender"


class TransformsConfig(ImagesConfig):
    """Options of `transforms`."""

    format = "transforms"


class MiddleburyConfig(ImagesConfig):
    """Options of `middlebury`."""

    format = "middlebury"


class NeilfConfig(ImagesConfig):
    """Options of `neilf`."""

    format = "neilf"


class LlffConfig(ImagesConfig):
    """Options of `llff`."""

    format = "llff"
