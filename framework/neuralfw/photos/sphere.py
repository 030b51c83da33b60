"""Whether a normalisation holds the object in the unit sphere, as far as masks tell."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from neuralfw.geometry.camera import Camera
from neuralfw.geometry.frame import Frame

STRAY = 0.01
"""Share of a mask's pixels that may look past the sphere: masks have stray pixels."""

_LOOKED_AT = 4000


def outside(frame: Frame, cameras: Sequence[Camera], masks: Sequence[UInt8[np.ndarray, "_ _"]]) -> str | None:
    """Say what of the object lies outside of a frame's unit sphere, or return None where it lies inside.

    A pixel of a mask whose ray misses the sphere shows something that is not in it.
    """
    shares = [_past(camera.in_training(frame), mask) for camera, mask in zip(cameras, masks, strict=True)]
    mean, worst = float(np.mean(shares)), int(np.argmax(shares))
    if mean <= STRAY:
        return None
    return f"{100.0 * mean:.0f} % of the masks' pixels look past it, of mask {worst} {100.0 * shares[worst]:.0f} %"


def _past(camera: Camera, mask: UInt8[np.ndarray, "h w"]) -> float:
    """Return the share of a mask's pixels whose rays miss the unit sphere about the origin, or end before it."""
    shown = np.argwhere(mask > 127)
    shown = shown[:: max(1, len(shown) // _LOOKED_AT)]
    if len(shown) == 0:
        return 0.0
    x = (shown[:, 1] + 0.5 - camera.cx) / camera.fx
    y = (shown[:, 0] + 0.5 - camera.cy) / camera.fy
    rays = np.stack([x, y, np.ones_like(x)], axis=1) @ camera.world_to_camera[:3, :3]
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    center = camera.center
    along = -rays @ center
    apart = center @ center - along**2
    inside = center @ center < 1.0
    return float(np.mean((apart > 1.0) | ((along < 0.0) & ~inside)))
