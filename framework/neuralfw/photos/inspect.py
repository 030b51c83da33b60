"""What a folder of posed photographs holds, and what is wrong with it, as plain data and as a picture."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from neuralfw.errors import UserError
from neuralfw.geometry.camera import Camera, nearest_to_axes
from neuralfw.photos import faults as wrong
from neuralfw.photos.drawing import draw_scene
from neuralfw.photos.hull import Box, Hull, seen_box
from neuralfw.photos.model import Capture, View
from neuralfw.photos.pictures import has_alpha, list_images, read_depth, read_mask, read_picture
from neuralfw.photos.sniff import read_capture

Facts = dict[str, Any]

_Decoded = tuple[UInt8[np.ndarray, "_ _"] | None, float | None, str]
"""A view's mask, reduced, the median depth that its depth image has, and what is wrong with its files."""

AWAY = "the cameras look away from each other: this is a room seen from inside, or their axes are flipped"

UNMASKED = "no photograph has a mask, so that recipes with a loss on masks do not take them"

_THREADS = 4
_SMALL = 200
"""Longest side at which masks are looked at."""


def inspect(
    path: Path,
    format: str | None = None,
    images: str | None = None,
    cameras: str | None = None,
    *,
    picture: Path | None = None,
) -> Facts:
    """Return facts of a scene; every photograph and mask is decoded once.

    Args:
        path: folder of the scene.
        format: of `FORMATS`; None detects it.
        images: folder of the images, where it is not the format's own.
        cameras: file of the cameras, for formats that may have several.
        picture: PNG to draw the scene into, by `draw_scene`; or None. It is not drawn where a photograph is broken.

    Raises:
        UserError: there is no scene that a reader takes. What it takes with faults is told under "faults".
    """
    capture = read_capture(path, format, images=images, cameras=cameras)
    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(_decoded, capture.views))
    broken = [fault for _, _, fault in found if fault]
    hull, faults = _judged(capture, found)
    facts = {"path": str(path), **_held(capture, found)}
    if hull is not None:
        facts["hull"] = _corners(hull.bounds) | {"votes": hull.votes}
    bounds, by = _bounds(capture, hull)
    facts["bounds"] = _corners(bounds) | {"by": by}
    if picture is not None and not broken:
        draw_scene(capture, picture, bounds, faults)
        facts["picture"] = str(picture)
    return {**facts, "faults": [*broken, *faults]}


def _held(capture: Capture, found: list[_Decoded]) -> Facts:
    """Return what a capture holds."""
    views = capture.views
    masked = sum(mask is not None for mask, _, _ in found)
    area = sum(v.camera.width * v.camera.height for v in views)
    notes = [*capture.notes, *([] if masked else [UNMASKED]), *_unposed(views)]
    if not masked and capture.points is None and wrong.look_away(capture.cameras):
        notes.append(AWAY)
    return {
        "format": capture.format,
        "images": len(views),
        "sizes": dict(Counter(f"{v.camera.width} x {v.camera.height}" for v in views)),
        "sets": {name: len(members) for name, members in capture.split.items()} or _habit(capture),
        "lenses": dict(Counter(_lens(view) for view in views)),
        "cameras": _cameras(capture.cameras),
        "masks": masked,
        "alpha_channels": sum(has_alpha(v.image) for v, (_, _, fault) in zip(views, found, strict=True) if not fault),
        "depth_images": sum(v.depth is not None for v in views),
        "time_stamps": len({v.time for v in views if v.time is not None}),
        "points": _points(capture),
        "normalisation": None if capture.frame is None else capture.frame.to_dict(),
        "memory_bytes": area * (4 if masked else 3),
        "notes": notes,
    }


def _judged(capture: Capture, found: list[_Decoded]) -> tuple[Hull | None, list[str]]:
    """Return the visual hull, where there is one, and what is wrong besides files that cannot be read."""
    whole = [(view.name, mask) for view, (mask, _, fault) in zip(capture.views, found, strict=True) if not fault]
    faults = [*wrong.of_cameras(capture.cameras), *wrong.of_points(capture), *wrong.of_masks(whole)]
    if faults or len(whole) < len(found):
        return None, faults
    hull, faults = _hull(capture, [mask for _, mask in whole])
    if not faults:
        middle = _bounds(capture, hull)[0].mean(axis=0)
        faults = wrong.of_depth(capture.cameras, [depth for _, depth, _ in found], middle)
    return hull, faults


def _decoded(view: View) -> _Decoded:
    """Return a view's mask, reduced, the median depth that its depth image has, and what is wrong with its files."""
    size = (view.camera.width, view.camera.height)
    factor = min(1.0, _SMALL / max(size))
    small = (max(1, round(size[0] * factor)), max(1, round(size[1] * factor)))
    try:
        picture = read_picture(view.image, small)
        if view.valid is not None:
            read_picture(view.valid, small)
        mask = picture[..., 3] if picture.shape[2] == 4 else None
        mask = mask if view.mask is None else read_mask(view.mask, small)
        return mask, _median_depth(view, mask, small), ""
    except UserError as error:
        return None, None, str(error)


def _median_depth(view: View, mask: UInt8[np.ndarray, "h w"] | None, size: tuple[int, int]) -> float | None:
    if view.depth is None:
        return None
    depth = read_depth(view.depth, size)
    known = depth[(depth > 0.0) & (True if mask is None else mask > 127)]
    return float(np.median(known)) if known.size else None


def _habit(capture: Capture) -> dict[str, int]:
    """Return the sizes of the sets that the field's habit makes where the format has none."""
    test = len(range(0, len(capture.views), capture.holdout)) if capture.holdout else 0
    return {"train": len(capture.views) - test, **({"test": test} if test else {})}


def _lens(view: View) -> str:
    return "pinhole" if view.distortion is None else view.distortion.model


def _cameras(cameras: list[Camera]) -> Facts:
    centers = np.stack([camera.center for camera in cameras])
    target = nearest_to_axes(cameras)
    distance = np.linalg.norm(centers - target, axis=1)
    angles = [2.0 * np.degrees(np.arctan(0.5 * camera.width / camera.fx)) for camera in cameras]
    return {
        "lower": _rounded(centers.min(axis=0)),
        "upper": _rounded(centers.max(axis=0)),
        "look_at": _rounded(target),
        "distance": _rounded([distance.min(), distance.max()]),
        "focal_pixels": _rounded([min(c.fx for c in cameras), max(c.fx for c in cameras)]),
        "angle_degrees": _rounded([min(angles), max(angles)]),
    }


def _points(capture: Capture) -> Facts | None:
    if capture.points is None:
        return None if capture.cloud is None else {"file": str(capture.cloud)}
    low, high = np.quantile(capture.points.points, (0.01, 0.99), axis=0)
    facts: Facts = {"count": len(capture.points), "lower": _rounded(low), "upper": _rounded(high)}
    if capture.tracks is not None:
        tracks = capture.tracks
        facts |= {"mean_track": float(tracks.length.mean()), "mean_error_pixels": float(tracks.error.mean())}
    return facts | ({} if capture.cloud is None else {"file": str(capture.cloud)})


def _hull(capture: Capture, masks: list[UInt8[np.ndarray, "_ _"] | None]) -> tuple[Hull | None, list[str]]:
    """Return the visual hull where each photograph has a mask, and what is wrong with it."""
    if any(mask is None for mask in masks):
        return None, []
    there = [mask for mask in masks if mask is not None]
    cameras = [c.resized(m.shape[1], m.shape[0]) for c, m in zip(capture.cameras, there, strict=True)]
    return wrong.of_silhouettes(cameras, there, capture.frame)


def _bounds(capture: Capture, hull: Hull | None) -> tuple[Box, str]:
    """Return the box where the object or scene is taken to be, and by what."""
    if capture.points is not None:
        box: Box = np.quantile(capture.points.points, (0.01, 0.99), axis=0)
        return box, "by the points, without 1 % at each end"
    if hull is not None:
        return hull.bounds, "by the visual hull of the masks"
    try:
        return seen_box(capture.cameras), "by what the cameras see"
    except UserError:
        centers = np.stack([camera.center for camera in capture.cameras])
        return np.stack([centers.min(axis=0), centers.max(axis=0)]), "of the cameras"


def _corners(box: Box) -> Facts:
    return {"lower": _rounded(box[0]), "upper": _rounded(box[1])}


def _unposed(views: tuple[View, ...]) -> list[str]:
    """Note the images that lie beside those with poses, without one."""
    taken = {path for view in views for path in (view.image, view.mask, view.valid, view.depth and view.depth.path)}
    folders = {view.image.parent for view in views}
    spare = [path.name for folder in sorted(folders) for path in list_images(folder) if path not in taken]
    return [f"{len(spare)} images have no pose and are not used: {', '.join(spare[:3])}"] if spare else []


def _rounded(values: Float[np.ndarray, " n"] | list[float]) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
