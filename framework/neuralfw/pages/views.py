"""Photographs beside what a run makes of them, from the pictures that its evaluation left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ..judged_views import PANELS, show_photographs
from .pictures import as_bytes, ramp

if TYPE_CHECKING:
    from ..run import Run

WIDTH = 320
"""Of a picture on the page."""

FULL_SCALE = 0.25
"""The mean absolute difference of the three channels that has the last colour."""


@dataclass(frozen=True)
class ViewPictures:
    """What is shown of a photograph: pictures by name."""

    label: str
    panels: dict[str, UInt8[np.ndarray, "h w 3"]]


def views(run: Run) -> Iterator[ViewPictures]:
    """Yield some photographs, held out ones where there are any, with the rendering, its error and the normals.

    Those that an evaluation has left in images/ are taken as they are, else some are rendered.

    Raises:
        UserError: the photographs are not where they were.
    """
    if run.photographs is None:
        return
    files = _stored(run, "test") or _stored(run, "train")
    files = files or show_photographs(run, "test" if run.held_out else "train")
    for file in files:
        panels = read_panels(file)
        if {"photograph", "rendering"} <= panels.keys():
            difference = np.abs(panels["photograph"].astype(np.float64) - panels["rendering"]).mean(axis=-1) / 255.0
            error = as_bytes(ramp(difference / FULL_SCALE).astype(np.float32))
            panels = {**{n: panels[n] for n in ("photograph", "rendering")}, "error": error, **panels}
        kind = "held out" if file.stem.startswith("test") else "learnt from"
        yield ViewPictures(f"{file.stem}, {kind}", {name: _small(image) for name, image in panels.items()})


def read_panels(file: Path) -> dict[str, UInt8[np.ndarray, "h w 3"]]:
    """Return the pictures side by side in a file of images/, by name."""
    with Image.open(file) as image:
        names = str(image.info.get(PANELS, "")).split(",")
        pixels = np.asarray(image.convert("RGB"))
    return dict(zip(names, np.split(pixels, len(names), axis=1), strict=True)) if names != [""] else {}


def _stored(run: Run, which: str) -> list[Path]:
    return [file for file in sorted(run.folder.images.glob(f"{which}_*.png")) if read_panels(file)]


def _small(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    height, width = image.shape[:2]
    if width <= WIDTH:
        return image
    size = (WIDTH, max(1, round(height * WIDTH / width)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
