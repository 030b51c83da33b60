"""NeILF's and Relightable 3D Gaussian's layout: `inputs/sfm_scene.json` with the cameras of a structure from motion."""

from pathlib import Path
from typing import Any

import numpy as np

from neuralfw.errors import UserError
from neuralfw.geometry.camera import Camera
from neuralfw.geometry.frame import Frame
from neuralfw.photos import json_file
from neuralfw.photos.model import Capture, View
from neuralfw.photos.pictures import fit_to_file
from neuralfw.photos.poses import world_to_camera

_USABLE = 2
"""The flag `flg` of an image whose camera was found."""


def read_neilf(folder: Path, images: str | None = None) -> Capture:
    """Read a scene; masks lie in `inputs/pmasks`, a cloud to start from in `inputs/model/sparse_bbx_scale.ply`.

    The diagonal of bbox.transform, its largest entry halved, and its translation are the box's similarity.

    Raises:
        UserError: the file is malformed, or an image is absent.
    """
    inputs = folder / "inputs"
    file = inputs / "sfm_scene.json"
    document = json_file.read_object(file)
    paths = _object(_object(document, "image_path", file), "file_paths", file)
    tracked = _object(_object(document, "camera_track_map", file), "images", file)
    views = []
    for index, entry in tracked.items():
        if isinstance(entry, dict) and entry.get("flg") == _USABLE:
            views.append(_view(inputs, images, json_file.text(paths, index, file), entry, f"{file}: image {index}"))
    if not views:
        raise UserError(f"{file} has no image whose camera was found (flg = {_USABLE}).")
    cloud = inputs / "model" / "sparse_bbx_scale.ply"
    views.sort(key=lambda view: view.name)
    skipped = len(tracked) - len(views)
    notes = (f"{skipped} of {len(tracked)} images have no camera and are skipped",) if skipped else ()
    return Capture(
        "neilf", tuple(views), cloud=cloud if cloud.is_file() else None, frame=_box(document, file), notes=notes
    )


def _object(document: dict[str, Any], key: str, where: object) -> dict[str, Any]:
    found = document.get(key)
    if not isinstance(found, dict):
        raise UserError(f"{where}: {key!r} must be an object.")
    return found


def _view(inputs: Path, images: str | None, name: str, entry: dict[str, Any], where: str) -> View:
    camera = _object(entry, "camera", where)
    intrinsic = _object(camera, "intrinsic", where)
    image = inputs / name if images is None else inputs / images / Path(name).name
    if not image.is_file():
        raise UserError(f"{where} has a camera, but {image} does not exist.")
    (fx, fy), (cx, cy), size = (
        _pair(intrinsic, "focal", where), _pair(intrinsic, "ppt", where), _pair(entry, "size", where)
    )  # fmt: skip
    extrinsic = json_file.matrix(camera, "extrinsic", where)
    pose = world_to_camera(extrinsic[:3, :3], extrinsic[:3, 3], where)
    pinhole = Camera(pose, fx, fy, cx, cy, round(size[0]), round(size[1]))
    mask = inputs / "pmasks" / f"{image.stem}.png"
    return View(Path(name).name, image, fit_to_file(pinhole, image, where), mask=mask if mask.is_file() else None)


def _pair(document: dict[str, Any], key: str, where: object) -> tuple[float, float]:
    values = document.get(key)
    if not isinstance(values, list) or len(values) < 2:
        raise UserError(f"{where}: {key!r} must be two numbers.")
    return json_file.number({key: values[0]}, key, where), json_file.number({key: values[1]}, key, where)


def _box(document: dict[str, Any], file: Path) -> Frame | None:
    if "bbox" not in document:
        return None
    transform = json_file.matrix(_object(document, "bbox", file), "transform", file)
    half = 0.5 * float(np.max(np.diag(transform)[:3]))
    if not (np.isfinite(transform).all() and half > 0.0):
        raise UserError(f"{file}: bbox.transform must have a positive diagonal.")
    return Frame(center=transform[:3, 3].copy(), scale=1.0 / half)
