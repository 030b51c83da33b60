"""Whether the time stamps of photographs agree with one another and with their cameras."""

from pathlib import Path
from typing import Any

import numpy as np

from neuralfw.errors import UserError
from neuralfw.photos.model import Capture, View


def stamp(value: Any, where: str) -> float | None:
    """Return a time stamp as files have it, None where there is none.

    Raises:
        UserError: it is no number in [0, 1].
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        raise UserError(f"{where}: time = {value!r} must be a number from 0 to 1, the first and last moment.")
    return float(value)


def check_stamps(capture: Capture, path: Path) -> None:
    """Refuse a capture of which some photographs have a time stamp and others none, or of which two of one set show
    the same moment from the same place.

    Raises:
        UserError: it is so.
    """
    missing = [view.name for view in capture.views if view.time is None]
    if len(missing) == len(capture.views):
        return
    if missing:
        raise UserError(
            f"{path}: {len(missing)} of {len(capture.views)} photographs have no time stamp, such as {missing[0]}: "
            "give each one, from 0 to 1, or none."
        )
    for members in capture.split.values() if capture.split else [range(len(capture.views))]:
        seen: dict[tuple[float | None, bytes], View] = {}
        for view in (capture.views[index] for index in members):
            place = np.round(view.camera.world_to_camera, 6) + 0.0
            other = seen.setdefault((view.time, place.tobytes()), view)
            if other is not view:
                raise UserError(
                    f"{path}: {other.name} and {view.name} have one camera and one time stamp, {view.time:g}: one of "
                    "them is wrong."
                )
