"""LLFF's poses_bounds.npy, and the precomputed.json of NR-NeRF, which holds the same poses with turned axes."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from neuralfw.errors import UserError
from neuralfw.geometry.archive import read_npy
from neuralfw.geometry.camera import Camera
from neuralfw.photos import json_file
from neuralfw.photos.model import Capture, View
from neuralfw.photos.pictures import fit_to_file, list_images
from neuralfw.photos.poses import from_camera_to_world

HOLDOUT = 8

_IMAGES = ("images", "images_4", "images_8", "images_2")

Poses = Float64[np.ndarray, "n 3 5"]


def read_llff(folder: Path, images: str | None = None) -> Capture:
    """Read a scene; the i-th image by name has pose i. Times of precomputed.json run evenly over the images.

    A pose is a 3 x 4 camera-to-world matrix beside the column (height, width, focal length). Its axes are (down,
    right, backwards) in poses_bounds.npy, (right, up, backwards) in precomputed.json.

    Raises:
        UserError: the file is malformed, or the images do not match the poses in number or ratio of the sides.
    """
    file = folder / "poses_bounds.npy"
    moving = not file.is_file()
    file = folder / "precomputed.json" if moving else file
    document = json_file.read_object(file) if moving else {}
    poses = _poses(document["poses"], file) if "poses" in document else _turned(_bounds(file))
    names = (images,) if images else _IMAGES
    pictures = next((found for name in names if (found := list_images(folder / name))), [])
    if len(pictures) != len(poses):
        raise UserError(f"{file} has {len(poses)} poses, but there are {len(pictures)} images in {folder / names[0]}.")
    views = []
    for index, (pose, image) in enumerate(zip(poses, pictures, strict=True)):
        where = f"{file}: pose {index}"
        height, width, focal = pose[:, 4].tolist()
        matrix = np.concatenate([pose[:, :4], [[0.0, 0.0, 0.0, 1.0]]])
        outside = from_camera_to_world(matrix, where, opengl=True)
        pinhole = Camera(
            outside, focal, focal, 0.5 * width, 0.5 * height, _pixels(width, where), _pixels(height, where)
        )
        time = index / max(len(pictures) - 1, 1) if moving else None
        views.append(View(image.name, image, fit_to_file(pinhole, image, where), time=time))
    return Capture("llff", tuple(views), _split(document, len(views)), 0 if moving else HOLDOUT)


def _pixels(size: float, where: str) -> int:
    if not 1.0 <= size < 1e6:
        raise UserError(f"{where}: {size} is no size of an image.")
    return round(size)


def _bounds(file: Path) -> Poses:
    table = read_npy(file)
    if table.ndim != 2 or table.shape[1] != 17 or table.dtype.kind not in "iuf":
        raise UserError(f"{file} must hold numbers of shape (n, 17), not {table.dtype} of shape {table.shape}.")
    return table[:, :15].astype(np.float64).reshape(-1, 3, 5)


def _turned(poses: Poses) -> Poses:
    """Poses with the axes (right, up, backwards), given with (down, right, backwards)."""
    return np.concatenate([poses[:, :, 1:2], -poses[:, :, 0:1], poses[:, :, 2:]], axis=2)


def _poses(values: Any, file: Path) -> Poses:
    try:
        poses = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{file}: 'poses' must be n matrices of 3 x 5 numbers.") from error
    if poses.ndim != 3 or poses.shape[1:] != (3, 5) or not len(poses):
        raise UserError(f"{file}: 'poses' must be n matrices of 3 x 5 numbers, not of shape {poses.shape}.")
    return poses


def _split(document: dict[str, Any], count: int) -> dict[str, tuple[int, ...]]:
    """Return the sets by what precomputed.json has as i_test, if it does: photographs held out, or the one that is."""
    listed = document.get("i_test")
    listed = [listed] if isinstance(listed, int) else listed
    if not isinstance(listed, list) or not listed:
        return {}
    test = {i for i in listed if isinstance(i, int) and 0 <= i < count}
    if len(test) < len(listed) or len(test) == count:
        raise UserError("precomputed.json: 'i_test' must list some of the images, from 0.")
    return {"train": tuple(i for i in range(count) if i not in test), "test": tuple(sorted(test))}
