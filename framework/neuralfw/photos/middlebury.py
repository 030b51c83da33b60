"""Middlebury's multi-view stereo layout: images and a file NAME_par.txt of K, R and t.

The file does not say where pixel centres lie; they are read as integers, so the principal point moves by + 0.5.
"""

from pathlib import Path

import numpy as np

from neuralfw.errors import UserError
from neuralfw.photos.model import Capture, View
from neuralfw.photos.pictures import size_of
from neuralfw.photos.poses import from_integer_centers, from_projection, world_to_camera


def find_parameters(folder: Path) -> Path | None:
    """Return the file of cameras of a scene, or None."""
    return next(iter(sorted(folder.glob("*_par.txt"))), None) if folder.is_dir() else None


def read_middlebury(folder: Path, images: str | None = None) -> Capture:
    """Read a scene: a line "name k11 k12 … k33 r11 … r33 t1 t2 t3" for each image, after a line with their number.

    Raises:
        UserError: the file is malformed, states another number than it has lines, or an image is absent.
    """
    file = find_parameters(folder)
    if file is None:
        raise UserError(f"{folder} has no file of cameras: NAME_par.txt was expected.")
    lines = [line.split() for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    if not lines or not lines[0][0].isdigit() or int(lines[0][0]) != len(lines) - 1:
        text = f"its first line must be the number of images, and it has {max(len(lines) - 1, 0)} further lines"
        raise UserError(f"{file} is malformed: {text}.")
    views = [_view(words, folder if images is None else folder / images, file) for words in lines[1:]]
    if not views:
        raise UserError(f"{file} lists no images.")
    return Capture("middlebury", tuple(sorted(views, key=lambda view: view.name)))


def _view(words: list[str], folder: Path, file: Path) -> View:
    name, where = words[0], f"{file}: {words[0]}"
    try:
        numbers = np.array([float(word) for word in words[1:]])
    except ValueError:
        numbers = np.zeros(0)
    if numbers.size != 21:
        raise UserError(f"{where}: 9 numbers of K, 9 of R and 3 of t were expected.")
    image = folder / name
    if not image.is_file():
        raise UserError(f"{where} has a camera, but {image} does not exist.")
    pose = world_to_camera(numbers[9:18].reshape(3, 3), numbers[18:], where)
    width, height = size_of(image)
    camera = from_projection(numbers[:9].reshape(3, 3) @ pose[:3], width, height, where)
    return View(name, image, from_integer_centers(camera))
