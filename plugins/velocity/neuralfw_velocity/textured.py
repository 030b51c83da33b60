"""An OBJ file with its vertices elsewhere: texture coordinates, materials, polygons and groups stay as they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from neuralfw.errors import UserError
from neuralfw.geometry.files import write_file

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")


def is_textured(file: Path) -> bool:
    """Say whether a file is an OBJ with texture coordinates."""
    return file.suffix.lower() == ".obj" and any(line.startswith("vt ") for line in _lines(file))


def write_moved(path: Path, source: Path, vertices: Float64[np.ndarray, "v 3"]) -> None:
    """Write what an OBJ file says with other vertices, and its materials and their pictures beside it.

    Normals of the file are left out, since they do not hold any more; viewers make them anew.

    Raises:
        UserError: the file has another number of vertices, or one cannot be written.
    """
    places, lines = iter(vertices.tolist()), []
    for line in _lines(source):
        word = next(iter(line.split()), "")
        if word == "v":
            place = next(places, None)
            if place is None:
                raise UserError(f"{source} has more vertices than were carried: {len(vertices):,}")
            line = " ".join(["v", *map(repr, place), *line.split()[4:]])
        elif word == "f":
            line = " ".join(["f", *("/".join(corner.split("/")[:2]).rstrip("/") for corner in line.split()[1:])])
        elif word == "mtllib":
            _copy_material(source.parent / line.strip().partition(" ")[2].strip(), source.parent, path.parent)
        if word != "vn":
            lines.append(line)
    if next(places, None) is not None:
        raise UserError(f"{source} has fewer vertices than were carried: {len(vertices):,}")
    write_file(path, ("\n".join(lines) + "\n").encode())


def _copy_material(material: Path, inside: Path, target: Path) -> None:
    """Copy a material and its pictures, of those that lie in or below a folder; what lies elsewhere stays there."""
    if not _within(material, inside) or material.suffix.lower() != ".mtl":
        return
    _copy(material, inside, target)
    for line in _lines(material):
        picture = material.parent / line.split()[-1] if line.strip().startswith(("map_", "bump", "disp")) else None
        if picture is not None and picture.suffix.lower() in PICTURES and _within(picture, inside):
            _copy(picture, inside, target)


def _within(file: Path, folder: Path) -> bool:
    return file.is_file() and file.resolve().is_relative_to(folder.resolve())


def _copy(file: Path, inside: Path, target: Path) -> None:
    place = target / file.resolve().relative_to(inside.resolve())
    if place.resolve() != file.resolve():
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)


def _lines(file: Path) -> list[str]:
    return file.read_bytes().decode("utf-8-sig", "replace").splitlines()
