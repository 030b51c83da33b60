"""Where a film is seen from, and when: around an orbit, from the photographs' cameras, along a path from a file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from neuralfw.errors import UserError
from neuralfw.geometry import Camera, nearest_to_axes
from neuralfw.photos import json_file
from neuralfw.photos.poses import from_camera_to_world

if TYPE_CHECKING:
    from neuralfw.run import Run

DISTANCE = 4.0
"""Of an orbit from its centre where no photographs say it, in radii of what it goes around."""

SIZE = 512
"""Edge of a picture where nothing says it, pixels."""


@dataclass(frozen=True, eq=False)
class Shot:
    """One picture of a film.

    Attributes:
        camera: in the world.
        time: in [0, 1]; None of a scene that does not move.
    """

    camera: Camera
    time: float | None = None


def orbit(
    center: Float64[np.ndarray, "3"], up: Float64[np.ndarray, "3"], lens: Camera, distance: float, count: int,
    *, elevation: float = 20.0,
) -> list[Camera]:  # fmt: skip
    """Return cameras evenly around a circle that look at its middle.

    Args:
        center: what they look at.
        up: unit direction about which they go.
        lens: whose focal length and size they have.
        distance: from the centre, world units.
        count: of the cameras; the circle closes with the next.
        elevation: of the circle above the centre, degrees.
    """
    across = np.cross(up, np.eye(3)[np.argmin(np.abs(up))])
    right = across / np.linalg.norm(across)
    front, tilt = np.cross(right, up), math.radians(elevation)
    cameras = []
    for angle in 2.0 * math.pi * np.arange(count) / count:
        place = math.cos(tilt) * (math.cos(angle) * front + math.sin(angle) * right) + math.sin(tilt) * up
        there = Camera.look_at(
            center + distance * place, center, up, focal=lens.fx, width=lens.width, height=lens.height
        )
        cameras.append(replace(there, fy=lens.fy))
    return cameras


def orbit_of(run: Run, count: int, *, elevation: float = 20.0, up: str | None = None) -> list[Camera]:
    """Return an orbit of a run's scene: around what its photographs look at, from as far away, with their lens.

    It goes about their mean upward direction. Of a run without photographs it goes around its box, about y. `up`, "x",
    "y" or "z", says another axis.
    """
    box = run.frame.to_world(np.stack(np.meshgrid(*run.scene.bounds.double().numpy().T), axis=-1).reshape(-1, 3))
    center = 0.5 * (box.min(axis=0) + box.max(axis=0))
    radius = 0.5 * float(np.linalg.norm(np.ptp(box, axis=0)))
    axis = upward(run)
    distance, focal = DISTANCE * radius, 0.5 * SIZE * math.sqrt(DISTANCE**2 - 1.0)
    lens = Camera.look_at([0, 0, 1], [0, 0, 0], [0, 1, 0], focal=focal, width=SIZE, height=SIZE)
    if run.photographs is not None:
        taken = [shot.camera for shot in photographed(run, "train")]
        center = nearest_to_axes(taken)
        distance = float(np.median([np.linalg.norm(camera.center - center) for camera in taken]))
        lens = taken[0]
    if up is not None:
        axis = np.eye(3)["xyz".index(up)]
    return orbit(center, axis, lens, distance, count, elevation=elevation)


def upward(run: Run) -> Float64[np.ndarray, "3"]:
    """Return the mean upward direction of a run's photographs, unit; that of y where there are none or they disagree.

    Raises:
        UserError: the photographs are not where they were.
    """
    return mean_upward([] if run.photographs is None else [shot.camera for shot in photographed(run, "train")])


def mean_upward(cameras: Sequence[Camera]) -> Float64[np.ndarray, "3"]:
    """Return the mean upward direction of cameras, unit; that of y where there are none or they disagree."""
    mean = -np.mean([camera.world_to_camera[1, :3] for camera in cameras], axis=0) if cameras else np.zeros(3)
    length = np.linalg.norm(mean)
    unit: Float64[np.ndarray, "3"] = mean / length if length > 1e-3 else np.array([0.0, 1.0, 0.0])
    return unit


def photographed(run: Run, set_name: str) -> list[Shot]:
    """Return the cameras of a set of a run's photographs, as it learnt them, with their times, in the order of time.

    Raises:
        UserError: the run has no photographs, or no such set.
    """
    from neuralfw.learnt_cameras import cameras_of

    if run.photographs is None:
        raise UserError(f"--cameras {set_name}: this run has no photographs; orbit, or the file of a path, can be had")
    cameras = cameras_of(run, run.photographs, set_name)
    views = run.data(run.photographs).views  # type: ignore[attr-defined]
    order = sorted(cameras, key=lambda index: views[index].time or 0.0)
    return [Shot(cameras[index].to_world(run.frame), views[index].time) for index in order]


def read_path(file: Path) -> list[Shot]:
    """Read a camera path as nerfstudio's viewer writes it; its poses are taken to be of the run's world.

    Of each camera: `camera_to_world` (axes of OpenGL), `fov` (vertical, degrees), `render_time` if there is one.

    Raises:
        UserError: it is no such file.
    """
    document = json_file.read_object(file)
    height = _size(document, "render_height", file)
    shots = []
    for index, item in enumerate(json_file.list_of_objects(document, "camera_path", file)):
        where = f"{file}: camera {index}"
        pose = from_camera_to_world(json_file.matrix(item, "camera_to_world", where), where, opengl=True)
        fov = json_file.number(item, "fov", where)
        if not 0.0 < fov < 180.0:
            raise UserError(f"{where}: 'fov' is the vertical angle in degrees, between 0 and 180, not {fov:g}.")
        width = _size(document, "render_width", file)
        focal = 0.5 * height / math.tan(math.radians(0.5 * fov))
        time = json_file.number(item, "render_time", where) if item.get("render_time") is not None else None
        if time is not None and not 0.0 <= time <= 1.0:
            raise UserError(f"{where}: 'render_time' lies in [0, 1], not {time:g}.")
        shots.append(Shot(Camera(pose, focal, focal, 0.5 * width, 0.5 * height, width, height), time))
    if not shots:
        raise UserError(f"{file}: its 'camera_path' holds no camera.")
    return shots


def timed(shots: Sequence[Shot], times: Sequence[float]) -> list[Shot]:
    """Return the shots with times that run evenly through those given, from the first shot to the last."""
    at = np.interp(np.linspace(0.0, 1.0, len(shots)), np.linspace(0.0, 1.0, len(times)), times)
    return [replace(shot, time=float(t)) for shot, t in zip(shots, at, strict=True)]


def _size(document: dict[str, object], key: str, file: Path) -> int:
    size = json_file.number(document, key, file)
    if not (size == int(size) and 1 <= size <= 16384):
        raise UserError(f"{file}: {key!r} is a number of pixels, not {size:g}.")
    return int(size)
