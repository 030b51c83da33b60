"""Makes the frame that a recipe's [frame] table asks for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from .errors import UserError
from .geometry.camera import Camera, nearest_to_axes
from .geometry.frame import Frame
from .recipe.model import FrameTable


def fit_frame(points: Float[np.ndarray, "n 3"], fit: FrameTable) -> Frame:
    """Return the frame that a recipe's [frame] asks for.

    Raises:
        UserError: a fit that points alone cannot give.
    """
    if fit.fit == "file":
        if fit.path is None:
            raise UserError('[frame] fit = "file" needs path: a frame.json')
        return Frame.load(fit.path)
    if fit.fit == "area" or fit.fit == "cameras":
        raise UserError(f'[frame] fit = "{fit.fit}" needs {"a mesh" if fit.fit == "area" else "cameras"}, not points')
    return Frame.fit(points, how=fit.fit, size=fit.size)


def fit_cameras(cameras: Sequence[Camera], fit: FrameTable) -> Frame:
    """Return the frame that brings what the cameras look at to the origin and the farthest of them to `size` from it.

    Raises:
        UserError: all cameras stand in the point that they look at.
    """
    target = nearest_to_axes(cameras)
    reach = max(float(np.linalg.norm(camera.center - target)) for camera in cameras)
    if reach == 0.0:
        raise UserError('[frame] fit = "cameras" needs cameras that stand apart from what they look at')
    return Frame(center=target, scale=fit.size / reach)
