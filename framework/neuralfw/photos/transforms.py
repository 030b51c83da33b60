"""transforms.json as instant-ngp and nerfstudio write it, and the three files of the NeRF-synthetic scenes.

Poses are camera-to-world with the axes of OpenGL; pixel centres lie at + 0.5, as ours.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuralfw.errors import UserError
from neuralfw.geometry.camera import Camera
from neuralfw.photos import json_file
from neuralfw.photos.distortion import Distortion, split_parameters
from neuralfw.photos.model import Capture, DepthMap, View
from neuralfw.photos.pictures import ENDINGS, fit_to_file, size_of
from neuralfw.photos.poses import from_camera_to_world
from neuralfw.photos.stamps import stamp

HOLDOUT = 8
DEPTH_STEP = 0.001
"""World units of a step of nerfstudio's 16-bit depth images."""
FARTHEST = 8.0
"""Depth maps of the NeRF-synthetic test views: distance along the ray = 8 (1 - v/255); measured on them."""

_SETS = ("train", "val", "test")


def read_transforms(file: Path, images: str | None = None) -> Capture:
    """Read a transforms.json.

    Args:
        file: the file.
        images: folder to take images of the same names from, instead of the one that the frames name.

    Raises:
        UserError: the file is malformed, a frame has no camera, or no image exists.
    """
    document = json_file.read_object(file)
    views, notes = _views(file, document, images)
    split = _split_by_name(file, document, views)
    cloud = document.get("ply_file_path")
    start = file.parent / cloud if isinstance(cloud, str) and (file.parent / cloud).is_file() else None
    return Capture("transforms", tuple(views), split, HOLDOUT, cloud=start, notes=tuple(notes))


def read_blender(folder: Path, images: str | None = None) -> Capture:
    """Read a NeRF-synthetic scene: transforms_train.json and, where they exist, _val and _test.

    Raises:
        UserError: a file is malformed, a frame has no camera, or no image exists.
    """
    views: list[View] = []
    split: dict[str, tuple[int, ...]] = {}
    notes: list[str] = []
    for name in _SETS:
        file = folder / f"transforms_{name}.json"
        if name == "train" or file.is_file():
            found, more = _views(file, json_file.read_object(file), images)
            split[name] = tuple(range(len(views), len(views) + len(found)))
            views, notes = views + found, notes + more
    cloud = next((folder / n for n in ("points3d.ply", "points3D.ply") if (folder / n).is_file()), None)
    return Capture("blender", tuple(views), split, cloud=cloud, notes=tuple(notes))


def _views(file: Path, document: dict[str, Any], images: str | None) -> tuple[list[View], list[str]]:
    frames = json_file.list_of_objects(document, "frames", file)
    views, missing = [], []
    for number, frame in enumerate(frames):
        where = f"{file}, frame {number}"
        name = json_file.text(frame, "file_path", where)
        image = _image_of(file.parent, name, images)
        if image is None:
            missing.append(name)
        else:
            views.append(_view(file.parent, image, {**document, **frame}, where))
    if not views:
        raise UserError(f"{file}: none of its {len(frames)} images exists; the first is {missing[0]}." if missing else
                        f"{file} lists no images.")  # fmt: skip
    first = ", ".join(missing[:3])
    notes = [f"{len(missing)} of {len(frames)} frames of {file.name} have no image and are skipped: {first} …"]
    return views, notes if missing else []


def _image_of(folder: Path, name: str, images: str | None) -> Path | None:
    given = folder / name if images is None else folder / images / Path(name).name
    endings = ("", *ENDINGS) if given.suffix.lower() in ENDINGS else ENDINGS
    return next((path for e in endings if (path := given.with_name(given.name + e)).is_file()), None)


def _view(folder: Path, image: Path, frame: Mapping[str, Any], where: str) -> View:
    matrix = json_file.matrix(frame, "transform_matrix", where)
    pose = from_camera_to_world(matrix, where, opengl=True)
    lens = _lens(frame, image, where)
    fx, fy, cx, cy = lens.pinhole
    camera = fit_to_file(Camera(pose, fx, fy, cx, cy, lens.width, lens.height), image, where)
    return View(
        name=image.relative_to(folder).as_posix() if image.is_relative_to(folder) else image.name,
        image=image,
        camera=camera,
        distortion=lens.distortion,
        valid=_beside(folder, frame, "mask_path"),
        depth=_depth(folder, image, frame),
        time=stamp(frame.get("time"), where),
    )


def _beside(folder: Path, frame: Mapping[str, Any], key: str) -> Path | None:
    name = frame.get(key)
    return folder / name if isinstance(name, str) else None


def _depth(folder: Path, image: Path, frame: Mapping[str, Any]) -> DepthMap | None:
    if (named := _beside(folder, frame, "depth_file_path")) is not None:
        return DepthMap(named, DEPTH_STEP)
    synthetic = sorted(image.parent.glob(f"{image.stem}_depth_[0-9]*.png"))
    return DepthMap(synthetic[0], -FARTHEST / 255.0, FARTHEST, "ray") if synthetic else None


@dataclass(frozen=True)
class _Lens:
    pinhole: tuple[float, float, float, float]
    width: int
    height: int
    distortion: Distortion | None


def _lens(frame: Mapping[str, Any], image: Path, where: str) -> _Lens:
    def number(key: str, default: float) -> float:
        return json_file.number(frame, key, where) if key in frame else default

    width, height = (number("w", 0.0), number("h", 0.0)) if "w" in frame and "h" in frame else size_of(image)
    if not (1 <= width < 1e6 and 1 <= height < 1e6):
        raise UserError(f"{where}: w = {width} and h = {height} are no size of an image.")
    fx = number("fl_x", 0.0) or _focal(number("camera_angle_x", 0.0), float(width))
    fy = number("fl_y", 0.0) or (fx if "fl_x" in frame else _focal(number("camera_angle_y", 0.0), float(height))) or fx
    if not (fx or fy):
        raise UserError(f"{where} has no focal length: fl_x or camera_angle_x was expected.")
    if not (fx >= 0.0 and fy > 0.0):
        raise UserError(f"{where}: focal lengths must be positive, not fl_x = {fx} and fl_y = {fy}.")
    pinhole = (fx or fy, fy, number("cx", 0.5 * width), number("cy", 0.5 * height))
    model, coefficients = _model(frame, number, where)
    pinhole, distortion = split_parameters(model, (*pinhole, *coefficients), where)
    return _Lens(pinhole, round(width), round(height), distortion)


def _focal(angle: float, size: float | int) -> float:
    return 0.5 * size / math.tan(0.5 * angle) if 0.0 < angle < math.pi else 0.0


def _model(frame: Mapping[str, Any], number: Any, where: str) -> tuple[str, list[float]]:
    """Return the model of COLMAP that says the same as a frame's camera_model and coefficients."""
    named = str(frame.get("camera_model", "OPENCV")).upper()
    if frame.get("is_fisheye") is True or named == "OPENCV_FISHEYE":
        return "OPENCV_FISHEYE", [number(k, 0.0) for k in ("k1", "k2", "k3", "k4")]
    if named not in ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "PERSPECTIVE", "SIMPLE_RADIAL", "RADIAL", "FULL_OPENCV"):
        raise UserError(f"{where}: the camera model {named} is not known. Known: OPENCV, PINHOLE, OPENCV_FISHEYE.")
    if number("k4", 0.0):
        raise UserError(f"{where}: k4 belongs to fisheye lenses: say camera_model OPENCV_FISHEYE, or leave it out.")
    coefficients = [number(k, 0.0) for k in ("k1", "k2", "p1", "p2")]
    k3 = number("k3", 0.0)
    return ("FULL_OPENCV", [*coefficients, k3, 0.0, 0.0, 0.0]) if k3 else ("OPENCV", coefficients)


def _split_by_name(file: Path, document: dict[str, Any], views: list[View]) -> dict[str, tuple[int, ...]]:
    """Return the sets that nerfstudio's train_filenames, val_filenames and test_filenames name."""
    places = {view.name: index for index, view in enumerate(views)}
    split: dict[str, tuple[int, ...]] = {}
    for name in _SETS:
        listed = document.get(f"{name}_filenames")
        if isinstance(listed, list):
            split[name] = tuple(places[Path(n).as_posix()] for n in map(str, listed) if Path(n).as_posix() in places)
    if split and not split.get("train"):
        raise UserError(f"{file}: train_filenames names none of the images that exist.")
    return {name: members for name, members in split.items() if members}
