"""Plain photographs made ready for a structure from motion: upright, sorted by lens, masked."""

import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from neuralfw.errors import UserError
from neuralfw.geometry.camera import Camera
from neuralfw.geometry.files import write_file
from neuralfw.photos.masks import mask_source
from neuralfw.photos.model import Capture, View
from neuralfw.photos.pictures import ENDINGS, list_images, size_of

FEWEST = 3
"""Photographs from which a structure is found."""

_UPRIGHT = 1
_KEPT = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
"""Files that COLMAP reads."""


@dataclass(frozen=True)
class Staged:
    """What lies in a working folder.

    Attributes:
        names: of the photographs, as files in its folder `photographs`.
        lenses: the same names, those together that one lens took: of one size, and of one focal length by their EXIF.
        masked: whether features are to be found inside of the masks only.
        masks: whether there is one for each photograph, in its folder `masks`, called NAME.png.
    """

    names: tuple[str, ...]
    lenses: tuple[tuple[str, ...], ...]
    masked: bool
    masks: bool


def stage(photographs: Path, folder: Path, masks: str | None) -> Staged:
    """Put photographs and masks into a working folder.

    A photograph is copied as it is, unless it lies on its side by its EXIF or is of a kind that COLMAP does not read.

    Args:
        photographs: their folder.
        folder: the working folder.
        masks: as `mask_source` takes it; None for none, also where photographs have alpha channels.

    Raises:
        UserError: there are too few photographs, one cannot be read, or there are no such masks.
    """
    taken: dict[str, Path] = {}
    lenses: dict[tuple[object, ...], list[str]] = {}
    for file in _listed(photographs):
        name, lens = _copied(file, folder / "photographs", taken)
        lenses.setdefault(lens, []).append(name)
    if masks is not None:
        _write_masks(taken, folder, masks)
    return Staged(
        tuple(sorted(taken)),
        tuple(map(tuple, lenses.values())),
        masked=masks is not None and not Path(masks).is_dir(),
        masks=masks is not None,
    )


def _listed(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: --sfm takes one with photographs.")
    files = list_images(folder)
    if len(files) < FEWEST:
        others = sorted({path.suffix.lower() for path in folder.iterdir() if path.is_file() and path not in files})
        beside = f"; its other files end in {', '.join(others)}" if others else ""
        raise UserError(
            f"{folder} has {len(files)} photographs{beside}. At least {FEWEST} were expected, better 20 and more, of "
            f"the kinds {' '.join(ENDINGS)}."
        )
    return files


def _copied(file: Path, folder: Path, taken: dict[str, Path]) -> tuple[str, tuple[object, ...]]:
    """Put a photograph into a folder; return its name there, and what tells its lens from others."""
    try:
        with Image.open(file) as image:
            exif = image.getexif()
            as_it_is = (
                exif.get(ExifTags.Base.Orientation, _UPRIGHT) == _UPRIGHT
                and image.mode in ("RGB", "RGBA", "L")
                and file.suffix.lower() in _KEPT
            )
            ending = file.suffix.lower() if as_it_is else ".jpg" if image.format == "JPEG" else ".png"
            upright = ImageOps.exif_transpose(image)
            data = None if as_it_is else _encoded(upright, ending)
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError(f"{file} cannot be read as an image: {error}. Copy it again, or leave it out.") from error
    name = re.sub(r"\s+", "_", file.stem) + ending
    if name in taken:
        raise UserError(f"{taken[name].name} and {file.name} would both be called {name}: rename one.")
    taken[name] = file
    write_file(folder / name, file.read_bytes() if data is None else data)
    return name, (upright.size, *_optics(exif))


def _optics(exif: Image.Exif) -> tuple[object, ...]:
    """Return camera and focal length as an image's EXIF has them."""
    details = exif.get_ifd(ExifTags.IFD.Exif)
    model = exif.get(ExifTags.Base.Model)
    return model, details.get(ExifTags.Base.FocalLength), details.get(ExifTags.Base.FocalLengthIn35mmFilm)


def _encoded(image: Image.Image, ending: str) -> bytes:
    encoded, exif = BytesIO(), image.getexif()
    if ending == ".jpg":
        image.convert("RGB").save(encoded, "JPEG", quality=97, subsampling=0, exif=exif)
    else:
        transparent = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
        image.convert("RGBA" if transparent else "RGB").save(encoded, "PNG", exif=exif)
    return encoded.getvalue()


def _write_masks(taken: dict[str, Path], folder: Path, wanted: str) -> None:
    views = []
    for name, file in taken.items():
        width, height = size_of(image := folder / "photographs" / name)
        unknown = Camera(np.eye(4), float(width), float(width), 0.5 * width, 0.5 * height, width, height)
        views.append(View(file.name, image, unknown))
    source = mask_source(Capture("photographs", tuple(views)), wanted)
    for name, view in zip(taken, views, strict=True):
        encoded = BytesIO()
        Image.fromarray(source(view)).save(encoded, "PNG")
        write_file(folder / "masks" / f"{name}.png", encoded.getvalue())
