"""What protocols ask about a run's photographs: where the cameras stand, and what the masks show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from .data.images import Images
from .errors import UserError
from .exporting import training_cameras
from .metrics.against_file import Photographed
from .metrics.culling import MaskedView

if TYPE_CHECKING:
    from .run import Run


def photographed(run: Run) -> Photographed | None:
    """Return what protocols ask about a run's photographs; None where it has none."""
    name = run.photographs
    if name is None:
        return None

    def data() -> Images:
        opened = run.data(name)
        assert isinstance(opened, Images)
        return opened

    def centers() -> dict[str, Float64[np.ndarray, "3"]]:
        cameras = (camera.to_world(run.frame) for camera in data().cameras)
        return {view.name: camera.center for view, camera in zip(data().views, cameras, strict=True)}

    def masked() -> Iterator[MaskedView]:
        photographs, members = data().photographs, data().members("train")
        if not photographs.masked:
            raise UserError(
                f"protocol dtu_culled: the photographs of data {name!r} have no masks; protocol dtu needs none."
            )
        for camera, mask in zip(training_cameras(run), photographs.silhouettes(members), strict=True):
            yield camera, mask > 127

    return Photographed(centers, masked)
