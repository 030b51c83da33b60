"""Pictures inside a page: colours of errors, and files as text."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO

import numpy as np
from jaxtyping import Float, Float64, UInt8
from PIL import Image

RAMP = np.array([[0.90, 0.92, 0.94], [0.99, 0.86, 0.40], [0.93, 0.40, 0.16], [0.50, 0.05, 0.16]])
"""Colours of errors, from none to the largest shown, evenly spaced."""


def ramp(share: Float[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape 3"]:
    """Return the colours of errors: light grey at 0, over yellow and orange to dark red at 1 and beyond."""
    place = np.clip(np.nan_to_num(share, nan=1.0), 0.0, 1.0) * (len(RAMP) - 1)
    cell = np.minimum(place.astype(np.int64), len(RAMP) - 2)
    rest = (place - cell)[..., None]
    colors: Float64[np.ndarray, "*shape 3"] = (1.0 - rest) * RAMP[cell] + rest * RAMP[cell + 1]
    return colors


def ramp_css() -> str:
    """Return the same colours as a gradient of CSS, from left to right."""
    stops = (f"rgb({', '.join(str(round(255 * c)) for c in color)})" for color in RAMP)
    return f"linear-gradient(to right, {', '.join(stops)})"


def data_uri(picture: UInt8[np.ndarray, "h w 3"], *, exact: bool = False) -> str:
    """Return a picture as the address of an <img>: a JPEG, or a PNG if it must be exact."""
    encoded = BytesIO()
    if exact:
        Image.fromarray(picture).save(encoded, "PNG", optimize=True)
    else:
        Image.fromarray(picture).save(encoded, "JPEG", quality=86)
    return f"data:image/{'png' if exact else 'jpeg'};base64,{b64encode(encoded.getvalue()).decode()}"


def as_bytes(image: Float[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Return colours in [0, 1] as bytes."""
    levels: UInt8[np.ndarray, "h w 3"] = np.round(255.0 * np.clip(image, 0.0, 1.0)).astype(np.uint8)
    return levels
