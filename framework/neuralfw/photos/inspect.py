"""What a folder of posed photographs holds, and what is wrong with it, as plain data."""

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from neuralfw.errors import UserError
from neuralfw.geometry.camera import Camera, nearest_to_axes
from neuralfw.photos.hull import COVERED, Hull
from neuralfw.photos.model import Capture, View
from neuralfw.photos.pictures import has_alpha, list_images, read_mask, read_picture
from neuralfw.photos.sniff import read_capture
from neuralfw.photos.sphere import outside

Facts = dict[str, Any]

_THREADS = 4
_SMALL = 200
"""Longest side at which masks are looked at."""


def inspect(path: Path, format: str | None = None, images: str | None = None, cameras: str | None = None) -> Facts:
    """Return facts of a scene; every photograph and mask is decoded once.

    Args:
        path: folder of the scene.
        format: of `FORMATS`; None detects it.
        images: folder of the images, where it is not the format's own.
        cameras: file of the cameras, for formats that may have several.

    Raises:
        UserError: there is no scene that a reader takes. What it takes with faults is told under "faults".
    """
    capture = read_capture(path, format, images=images, cameras=cameras)
    views = capture.views
    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(_decoded, views))
    masks = [mask for mask, _ in found]
    faults = [fault for _, fault in found if fault]
    masked = sum(mask is not None for mask in masks)
    faults += _faults_of_masks(views, masks)
    sizes = Counter(f"{v.camera.width} x {v.camera.height}" for v in views)
    area = sum(v.camera.width * v.camera.height for v in views)
    facts: Facts = {
        "path": str(path),
        "format": capture.format,
        "images": len(views),
        "sizes": dict(sizes),
        "sets": {name: len(members) for name, members in capture.split.items()} or _habit(capture),
        "lenses": dict(Counter(_lens(view) for view in views)),
        "cameras": _cameras(capture.cameras),
        "masks": masked,
        "alpha_channels": sum(has_alpha(v.image) for v in views if not _broken(v, faults)),
        "depth_images": sum(v.depth is not None for v in views),
        "time_stamps": len({v.time for v in views if v.time is not None}),
        "points": _points(capture),
        "normalisation": None if capture.frame is None else capture.frame.to_dict(),
        "memory_bytes": area * (4 if masked else 3),
        "notes": [*capture.notes, *_unposed(views)],
    }
    if not faults and masked == len(views):
        facts["hull"], more = _hull(capture, [mask for mask in masks if mask is not None])
        faults += more
    return {**facts, "faults": faults}


def _decoded(view: View) -> tuple[UInt8[np.ndarray, "h w"] | None, str]:
    """Return a view's mask, reduced, and what is wrong with its files."""
    size = (view.camera.width, view.camera.height)
    factor = min(1.0, _SMALL / max(size))
    small = (max(1, round(size[0] * factor)), max(1, round(size[1] * factor)))
    try:
        picture = read_picture(view.image, small)
        for other in (view.valid, view.depth.path if view.depth else None):
            if other is not None:
                read_picture(other, small)
        if view.mask is not None:
            return read_mask(view.mask, small), ""
        return (picture[..., 3] if picture.shape[2] == 4 else None), ""
    except UserError as error:
        return None, str(error)


def _broken(view: View, faults: Iterable[str]) -> bool:
    return any(str(view.image) in fault for fault in faults)


def _faults_of_masks(views: Iterable[View], masks: Iterable[UInt8[np.ndarray, "_ _"] | None]) -> list[str]:
    """Name the views whose masks show no object, or nothing else."""
    kinds: dict[str, Callable[[Any], bool]] = {
        "show no object": lambda mask: bool((mask < COVERED).all()),
        "show no background": lambda mask: bool((mask >= COVERED).all()),
    }
    found = []
    pairs = [(view.name, mask) for view, mask in zip(views, masks, strict=True) if mask is not None]
    for what, holds in kinds.items():
        if names := [name for name, mask in pairs if holds(mask)]:
            found.append(f"{len(names)} of {len(pairs)} masks {what}: {', '.join(names[:3])}")
    return found


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


def _hull(capture: Capture, masks: list[UInt8[np.ndarray, "_ _"]]) -> tuple[Facts | None, list[str]]:
    cameras = [c.resized(m.shape[1], m.shape[0]) for c, m in zip(capture.cameras, masks, strict=True)]
    try:
        hull = Hull.agreed(cameras, masks)
    except UserError as error:
        return None, [str(error)]
    low, high = hull.bounds
    past = None if capture.frame is None else outside(capture.frame, cameras, masks)
    faults = [] if past is None else [f"the normalisation leaves the object outside the unit sphere: {past}"]
    return {"lower": _rounded(low), "upper": _rounded(high), "votes": hull.votes}, faults


def _unposed(views: tuple[View, ...]) -> list[str]:
    """Note the images that lie beside those with poses, without one."""
    taken = {path for view in views for path in (view.image, view.mask, view.valid, view.depth and view.depth.path)}
    folders = {view.image.parent for view in views}
    spare = [path.name for folder in sorted(folders) for path in list_images(folder) if path not in taken]
    return [f"{len(spare)} images have no pose and are not used: {', '.join(spare[:3])}"] if spare else []


def _rounded(values: Float[np.ndarray, " n"] | list[float]) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
