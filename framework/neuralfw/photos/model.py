"""Photographs with cameras as a reader hands them over: nothing decoded yet but the sizes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64

from neuralfw.errors import UserError
from neuralfw.geometry.camera import Camera
from neuralfw.geometry.frame import Frame
from neuralfw.geometry.point_cloud import PointCloud
from neuralfw.photos.distortion import Distortion


@dataclass(frozen=True)
class DepthMap:
    """A depth image: length = offset + scale · stored value, in world units; the stored value 0 means unknown.

    Attributes:
        path: an image of one channel, or of several equal ones.
        scale: world units per stored step.
        offset: world units.
        along: "axis" for depth along the optical axis, "ray" for the distance from the camera's centre.
    """

    path: Path
    scale: float
    offset: float = 0.0
    along: Literal["axis", "ray"] = "axis"


@dataclass(frozen=True, eq=False)
class View:
    """One photograph.

    Attributes:
        name: unique within the capture; what split lists and reports say.
        image: the file.
        camera: pinhole camera in the world, for an image of the size of the file. Where there is a `distortion`, the
            file shows the picture that this camera would see, distorted.
        distortion: of the lens, or None.
        mask: image of the object's mask, or None; soft edges count. An alpha channel of the image is one by itself.
        valid: image that is 0 where the pixel must not be used, or None.
        depth: or None.
        time: over the sequence, 0 to 1; or None.
    """

    name: str
    image: Path
    camera: Camera
    distortion: Distortion | None = None
    mask: Path | None = None
    valid: Path | None = None
    depth: DepthMap | None = None
    time: float | None = None


@dataclass(frozen=True, eq=False)
class Tracks:
    """Where a structure from motion saw its points.

    Attributes:
        length: in how many images each point was seen.
        error: mean reprojection error of each point in pixels, as the file states it.
        point: index of the point of each observation.
        view: index of its view.
        pixels: where, in the undistorted image of the view's camera.
    """

    length: Int64[np.ndarray, "n"]
    error: Float64[np.ndarray, "n"]
    point: Int64[np.ndarray, "m"]
    view: Int64[np.ndarray, "m"]
    pixels: Float64[np.ndarray, "m 2"]


@dataclass(frozen=True, eq=False)
class Capture:
    """All views of a scene, in one world.

    Attributes:
        format: name of the reader.
        views: sorted by name, or as the format orders them.
        split: the format's own sets ("train", "test", "val") as indices of views; empty where it has none.
        holdout: every how many-th view the field's habit holds out where there is no split; 0 for none.
        points: sparse points of the scene, or None.
        tracks: of these points, or None.
        cloud: file of a cloud that the format names to start from, denser than `points`; or None.
        frame: similarity from the world to the space that the format normalises to, or None.
        true_cameras: where those of the views are rough: the ones to compare estimates with; or None.
        notes: what was noticed and done, one sentence each.
    """

    format: str
    views: tuple[View, ...]
    split: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    holdout: int = 0
    points: PointCloud | None = None
    tracks: Tracks | None = None
    cloud: Path | None = None
    frame: Frame | None = None
    true_cameras: tuple[Camera, ...] | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [view.name for view in self.views]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise UserError(f"{self.format}: the image {twice} has two poses.")

    @property
    def cameras(self) -> list[Camera]:
        """The cameras of the views, in the world."""
        return [view.camera for view in self.views]
