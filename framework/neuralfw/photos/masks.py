"""Masks of photographs: those that a capture brings, of a folder, of alpha channels, or by brightness or background."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, UInt8
from PIL import Image, ImageColor, ImageDraw
from scipy import ndimage
from scipy.spatial import ConvexHull

from neuralfw.errors import UserError
from neuralfw.geometry.camera import Camera
from neuralfw.photos.hull import COVERED, Box
from neuralfw.photos.model import Capture, View
from neuralfw.photos.pictures import Remap, has_alpha, list_images, read_mask, read_picture

Mask = UInt8[np.ndarray, "h w"]
Picture = UInt8[np.ndarray, "h w c"]
Source = Callable[[View], Mask]

TOLERANCE = 32
"""How far, of 255, a channel of the background may be from its colour."""

_HOLE = 0.01
"""Holes of a silhouette that are smaller than this share of it are shadows, not openings."""


def parse_box(text: str) -> Box:
    """Read "x,y,z,x,y,z".

    Raises:
        UserError: these are not six numbers, the lower corner and then the upper.
    """
    try:
        corners: Box = np.array([float(part) for part in text.split(",")]).reshape(2, 3)
    except ValueError:
        corners = np.zeros((2, 3))
    if not (corners[0] < corners[1]).all():
        raise UserError(f"--box {text}: six numbers were expected, the lower corner, then the upper.")
    return corners


def mask_source(capture: Capture, wanted: str | None, box: Box | None = None) -> Source:
    """Return what gives a view's mask, 255 on the object, undistorted.

    Args:
        capture: of the views.
        wanted: "threshold=18" (the largest part whose brightest channel exceeds it); "background=white", or "#00ff00",
            or "auto" (the largest part that is of another colour; "auto" is the most common along the edges), also with
            another tolerance ("white,48"); "alpha"; a folder of masks, by the names of the photographs or in their
            order; None takes what the capture brings.
        box: corners, in the world, beyond which nothing is the object; or None.

    Raises:
        UserError: there are no such masks, or not one for each view. A mask that shows no object is told when read.
    """
    find = _source(capture, wanted)

    def masked(view: View) -> Mask:
        mask = find(view) if box is None else np.where(projected(box, view.camera), find(view), np.uint8(0))
        mask = _largest(mask) if by_color(wanted) else mask
        if not (mask >= COVERED).any():
            raise UserError(empty(view.name))
        return mask

    return masked


def empty(*names: str) -> str:
    """Say that masks are all black."""
    if len(names) == 1:
        return f"the mask of {names[0]} is all black: it shows no object. Mend it, or leave the photograph out."
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    which = f"{', '.join(names[:3])}{rest}"
    return f"the masks of {which} are all black: they show no object. Mend them, or leave the photographs out."


def _source(capture: Capture, wanted: str | None) -> Source:
    limit = _threshold(wanted)
    if limit is not None:
        return lambda view: np.where(picture(view)[..., :3].max(axis=2) > limit, np.uint8(255), np.uint8(0))
    if (color := _background(wanted)) is not None:
        return lambda view: _apart(picture(view)[..., :3], *color)
    if wanted == "alpha":
        if without := [view.name for view in capture.views if not has_alpha(view.image)]:
            raise UserError(f"--masks alpha: {without[0]} has no alpha channel ({len(without)} in all).")
        return lambda view: picture(view)[..., 3]
    if wanted is not None:
        files = _paired(Path(wanted), capture)
        return lambda view: _straightened(view, read_mask(files[view.name], _size(view)))
    if without := [view.name for view in capture.views if view.mask is None and not has_alpha(view.image)]:
        raise UserError(
            f"{without[0]} has no mask ({len(without)} of {len(capture.views)} photographs): say --masks DIR, "
            "--masks alpha, --masks threshold=18 or --masks background=white."
        )
    return lambda view: (
        picture(view)[..., 3] if view.mask is None else _straightened(view, read_mask(view.mask, _size(view)))
    )


def _threshold(wanted: str | None) -> float | None:
    """Return N of "threshold=N", or None for anything else."""
    name, _, number = (wanted or "").partition("=")
    if name != "threshold":
        return None
    try:
        return float(number)
    except ValueError:
        raise UserError(f"--masks {wanted}: a number from 0 to 255 was expected, such as threshold=18.") from None


def by_color(wanted: str | None) -> bool:
    """Whether masks are told from the colours of the photographs themselves."""
    return _threshold(wanted) is not None or _background(wanted) is not None


def _background(wanted: str | None) -> tuple[UInt8[np.ndarray, "3"] | None, float] | None:
    """Return the colour (None for "auto") and the tolerance of "background=COLOR,N", or None for anything else."""
    name, _, text = (wanted or "").partition("=")
    if name != "background":
        return None
    color, _, tolerance = text.partition(",")
    try:
        rgb = None if color == "auto" else np.array(ImageColor.getrgb(color)[:3], dtype=np.uint8)
        return rgb, float(tolerance or TOLERANCE)
    except ValueError:
        raise UserError(
            f"--masks {wanted}: a colour was expected, such as background=white, background=#00ff00, background=auto; "
            f"and how far a channel may be from it, as in background=white,{TOLERANCE}."
        ) from None


def _apart(pixels: UInt8[np.ndarray, "h w 3"], color: UInt8[np.ndarray, "3"] | None, tolerance: float) -> Mask:
    """Mark the pixels whose colour is another than the background's."""
    if color is None:
        edges = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        color = np.median(edges, axis=0).astype(np.uint8)
    apart = np.abs(pixels.astype(np.int16) - color.astype(np.int16)).max(axis=2) > tolerance
    return np.where(apart, np.uint8(255), np.uint8(0))


def _paired(folder: Path, capture: Capture) -> Mapping[str, Path]:
    """Return the mask of each view, by its name or, where no name fits, by its place."""
    files = list_images(folder)
    if not files:
        raise UserError(f"--masks {folder}: a folder of masks was expected; or alpha, threshold=18, background=white.")
    by_stem = {file.stem: file for file in files}
    names = [view.name for view in capture.views]
    unique = len({Path(name).stem for name in names}) == len(names)
    found = {name: by_stem[stem] for name in names if unique and (stem := Path(name).stem) in by_stem}
    if len(found) == len(names):
        return found
    if not found and len(files) == len(names):
        return dict(zip(sorted(names), files, strict=True))
    missing = [name for name in names if name not in found]
    raise UserError(f"{folder} has no mask for {missing[0]}: it has {len(files)}, and there are {len(names)} images.")


def picture(view: View) -> Picture:
    """Return a photograph without distortion, with its alpha channel where it has one."""
    return _straightened(view, read_picture(view.image, _size(view)))


def _straightened(view: View, pixels: UInt8[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    if view.distortion is None:
        return pixels
    remap = Remap.of(view.camera, view.distortion)
    straight: UInt8[np.ndarray, "..."] = remap(pixels.reshape(*pixels.shape[:2], -1)).reshape(pixels.shape)
    straight[~remap.valid] = 0
    return straight


def _size(view: View) -> tuple[int, int]:
    return view.camera.width, view.camera.height


def projected(box: Box, camera: Camera) -> Bool[np.ndarray, "h w"]:
    """Mark the pixels through which a camera sees a box."""
    corners: Float64[np.ndarray, "8 3"] = np.stack(np.meshgrid(*box.T), axis=-1).reshape(-1, 3)
    pixels, depth = camera.project(corners)
    if (depth <= 0.0).any():
        return np.ones((camera.height, camera.width), dtype=bool)
    outline = pixels[ConvexHull(pixels).vertices]
    drawn = Image.new("L", (camera.width, camera.height))
    ImageDraw.Draw(drawn).polygon([(float(x), float(y)) for x, y in outline], fill=255)
    return np.asarray(drawn) > 0


def _largest(mask: Mask) -> Mask:
    """Return the largest connected part of a mask, without its small holes."""
    parts, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    kept = parts == sizes.argmax()
    holes, _ = ndimage.label(ndimage.binary_fill_holes(kept) & ~kept)
    small = np.bincount(holes.ravel()) < _HOLE * sizes.max()
    small[0] = False
    return np.where(kept | small[holes], np.uint8(255), np.uint8(0))
