"""What is wrong with cameras, points and masks that a reader took: axes, scale, masks, matches."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float64, UInt8

from neuralfw.errors import UserError
from neuralfw.geometry.camera import Camera, nearest_to_axes
from neuralfw.geometry.frame import Frame
from neuralfw.photos.hull import COVERED, EXPLAINED, Hull
from neuralfw.photos.model import Capture, Tracks
from neuralfw.photos.sphere import outside

Mask = UInt8[np.ndarray, "_ _"]
Turn = Callable[[Float64[np.ndarray, "4 4"]], Float64[np.ndarray, "4 4"]]

FEW_POINTS = 30
"""Points that a camera must see for its pose to be trusted (COLMAP's least for placing a photograph)."""

CLOSE = 0.005
"""Of an image's width: where a point should be seen from its camera, in the median."""

SEEN = 0.3
"""Share of the points that at least one camera should see."""

SMALL = 0.15
"""Share of the unit sphere's radius that an object should reach."""

_OBSERVATIONS = 20_000


def _axes(*signs: int) -> Turn:
    return lambda pose: np.diag([*map(float, signs), 1.0]) @ pose


TURNS: Mapping[str, Turn] = {
    "flipped axes: y and z of the cameras point the other way, as OpenGL and Blender have them": _axes(1, -1, -1),
    "flipped axes: x and y of the cameras point the other way, as of pictures turned by 180 degrees": _axes(-1, -1, 1),
    "flipped axes: x and z of the cameras point the other way": _axes(-1, 1, -1),
    "flipped poses: they lead from the camera to the world where the reverse is expected": np.linalg.inv,
}
"""What a user's cameras may have suffered, and how it is undone."""


def turned(cameras: Sequence[Camera], turn: Turn) -> list[Camera]:
    """Return cameras whose poses were changed."""
    return [replace(camera, world_to_camera=turn(camera.world_to_camera)) for camera in cameras]


# -- points ------------------------------------------------------------------------------------------------------


def of_points(capture: Capture) -> list[str]:
    """Return what is wrong between cameras and sparse points."""
    if capture.points is None:
        return []
    tracks = capture.tracks
    if tracks is None or len(tracks.point) == 0:
        return _unseen(capture.cameras, capture.points.points)
    found = _displaced(capture.cameras, capture.points.points, tracks)
    per_view = np.bincount(tracks.view, minlength=len(capture.views))
    few = [f"{capture.views[i].name} ({per_view[i]})" for i in np.flatnonzero(per_view < FEW_POINTS)]
    if few:
        rest = ", …" if len(few) > 3 else ""
        found.append(
            f"few matches: {len(few)} of {len(per_view)} photographs see fewer than {FEW_POINTS} points, so that their "
            f"cameras are uncertain: {', '.join(few[:3])}{rest}"
        )
    return found


def _displaced(cameras: Sequence[Camera], points: Float64[np.ndarray, "n 3"], tracks: Tracks) -> list[str]:
    """Say that points are not seen where the file has them, and which change of the cameras mends it."""
    limit = CLOSE * float(np.median([camera.width for camera in cameras]))
    error = reprojection(cameras, points, tracks)
    if error <= limit:
        return []
    for fault, turn in TURNS.items():
        if reprojection(turned(cameras, turn), points, tracks) <= limit:
            return [fault]
    factor = _scale(cameras, points, tracks)
    if reprojection(cameras, factor * points, tracks) <= limit:
        return [f"wrong scale: cameras and points fit together only when the points are scaled by {factor:.4g}"]
    return [
        f"cameras and points do not fit together: the points are {error:.0f} pixels from where the photographs show "
        "them, in the median; they are not of one reconstruction"
    ]


def _observed(tracks: Tracks) -> slice:
    return slice(None, None, max(1, len(tracks.point) // _OBSERVATIONS))


def reprojection(cameras: Sequence[Camera], points: Float64[np.ndarray, "n 3"], tracks: Tracks) -> float:
    """Return the median distance, in pixels, of points from where they were seen; infinite where most lie behind."""
    some = _observed(tracks)
    view, pixels = tracks.view[some], tracks.pixels[some]
    poses, inner = _stacked(cameras)
    local = np.einsum("nij,nj->ni", poses[view, :3, :3], points[tracks.point[some]]) + poses[view, :3, 3]
    front = local[:, 2] > 0.0
    place = local[:, :2] / np.where(front, local[:, 2], 1.0)[:, None] * inner[view, :2] + inner[view, 2:]
    return float(np.median(np.where(front, np.linalg.norm(place - pixels, axis=1), np.inf)))


def _scale(cameras: Sequence[Camera], points: Float64[np.ndarray, "n 3"], tracks: Tracks) -> float:
    """Return the s for which s R X + t lies on the rays of the observations, in the median."""
    some = _observed(tracks)
    view, pixels = tracks.view[some], tracks.pixels[some]
    poses, inner = _stacked(cameras)
    ray = np.concatenate([(pixels - inner[view, 2:]) / inner[view, :2], np.ones((len(view), 1))], axis=1)
    a = np.cross(ray, np.einsum("nij,nj->ni", poses[view, :3, :3], points[tracks.point[some]]))
    b = np.cross(ray, poses[view, :3, 3])
    squared = (a * a).sum(axis=1)
    kept = squared > 1e-12 * squared.max()
    return float(np.median(-(a * b).sum(axis=1)[kept] / squared[kept]))


def _stacked(cameras: Sequence[Camera]) -> tuple[Float64[np.ndarray, "v 4 4"], Float64[np.ndarray, "v 4"]]:
    return np.stack([c.world_to_camera for c in cameras]), np.stack([c.intrinsics for c in cameras])


def _unseen(cameras: Sequence[Camera], points: Float64[np.ndarray, "n 3"]) -> list[str]:
    """Say that no camera sees most of the points, which have no tracks."""

    def seen(cameras: Sequence[Camera]) -> float:
        return float(np.mean(np.any([camera.sees(*camera.project(some)) for camera in cameras], axis=0)))

    some = points[:: max(1, len(points) // _OBSERVATIONS)]
    share = seen(cameras)
    if share >= SEEN:
        return []
    better = {fault: after for fault, turn in TURNS.items() if (after := seen(turned(cameras, turn))) > 0.9}
    if better:
        return [max(better, key=lambda fault: better[fault])]
    return [
        f"cameras and points do not fit together: {100.0 * (1.0 - share):.0f} % of the points are seen by no camera; "
        "they differ in scale or axes, or are not of one reconstruction"
    ]


# -- masks -------------------------------------------------------------------------------------------------------


def of_masks(masks: Sequence[tuple[str, Mask | None]]) -> list[str]:
    """Name the photographs, given with their masks, that have none, or one that shows all, nothing or the outside."""
    there = {name: mask for name, mask in masks if mask is not None}
    if not there:
        return []
    kinds: dict[str, Callable[[Mask], bool]] = {
        "show no object": lambda mask: bool((mask < COVERED).all()),
        "show no background": lambda mask: bool((mask >= COVERED).all()),
        "are inverted: the object lies in the middle, not along the edges": _inverted,
    }
    found = []
    if absent := [name for name, mask in masks if mask is None]:
        found.append(f"missing masks: {_named(absent, len(masks), 'photographs have none')}")
    for what, holds in kinds.items():
        if bad := [name for name, mask in there.items() if holds(mask)]:
            found.append(_named(bad, len(there), f"masks {what}"))
    return found


def _named(some: Sequence[str], count: int, what: str) -> str:
    return f"{len(some)} of {count} {what}: {', '.join(some[:3])}{', …' if len(some) > 3 else ''}"


def _inverted(mask: Mask) -> bool:
    """Whether a mask covers most of the picture's edge and less of its middle."""
    shown = mask >= COVERED
    height, width = shown.shape
    edge = np.concatenate([shown[0], shown[-1], shown[1:-1, 0], shown[1:-1, -1]]).mean()
    middle = shown[height // 4 : height - height // 4, width // 4 : width - width // 4].mean()
    return bool(edge > 0.5 and middle < edge - 0.15)


def of_silhouettes(
    cameras: Sequence[Camera], masks: Sequence[Mask], frame: Frame | None
) -> tuple[Hull | None, list[str]]:
    """Return the visual hull of masks, and what is wrong between them, the cameras and a normalisation.

    Args:
        cameras: brought to the sizes of the masks.
        masks: of all of them.
        frame: the normalisation that came with them, or None.
    """
    hull, reason = _hull(cameras, masks)
    if hull is None or hull.explained() < 0.5 * EXPLAINED:
        for fault, turn in TURNS.items():
            other, _ = _hull(turned(cameras, turn), masks)
            if other is not None and other.votes == 1.0 and other.explained() >= EXPLAINED:
                return None, [fault]
    if hull is None:
        return None, [reason]
    return hull, [] if frame is None else [*_normalisation(frame, cameras, masks, hull)]


def _hull(cameras: Sequence[Camera], masks: Sequence[Mask]) -> tuple[Hull | None, str]:
    try:
        return Hull.agreed(cameras, masks), ""
    except UserError as error:
        return None, str(error)


def _normalisation(frame: Frame, cameras: Sequence[Camera], masks: Sequence[Mask], hull: Hull) -> Iterator[str]:
    if (past := outside(frame, cameras, masks)) is not None:
        yield f"wrong scale: the normalisation leaves the object outside the unit sphere: {past}"
    size = 0.5 * frame.scale * float(np.linalg.norm(hull.bounds[1] - hull.bounds[0]))
    if size < SMALL:
        yield f"wrong scale: after the normalisation the object has the radius {size:.2g}, not about 1"


# -- cameras -----------------------------------------------------------------------------------------------------


def of_cameras(cameras: Sequence[Camera]) -> list[str]:
    """Return what is wrong with cameras by themselves."""
    found = []
    centers = np.stack([camera.center for camera in cameras])
    if len(cameras) > 1 and np.ptp(centers, axis=0).max() < 1e-9 * max(1.0, float(np.abs(centers).max())):
        found.append("all cameras stand in one place: a turn alone shows no depth")
    angles = [2.0 * np.degrees(np.arctan(0.5 * camera.width / camera.fx)) for camera in cameras]
    if max(angles) > 150.0 or min(angles) < 1.0:
        found.append(
            f"wrong scale: a lens sees {min(angles):.3g} to {max(angles):.3g} degrees; focal lengths are not in pixels"
        )
    return found


def look_away(cameras: Sequence[Camera]) -> bool:
    """Whether most cameras have the point that their axes come nearest to behind them."""
    target = nearest_to_axes([*cameras])
    return bool(np.mean([(target - camera.center) @ camera.axis < 0.0 for camera in cameras]) > 0.5)


def of_depth(cameras: Sequence[Camera], depths: Iterable[float | None], target: Float64[np.ndarray, "3"]) -> list[str]:
    """Say that depth images are of another scale than the cameras.

    Args:
        cameras: all.
        depths: the median depth that each camera's image has on the object; None where there is none.
        target: where the object is.
    """
    ratios = [
        depth / distance
        for camera, depth in zip(cameras, depths, strict=True)
        if depth is not None and (distance := float(np.linalg.norm(target - camera.center))) > 0.0
    ]
    middle = float(np.median(ratios)) if ratios else 1.0
    if 0.5 <= middle <= 2.0:
        return []
    return [f"wrong scale: depth images put the object {middle:.3g} times as far away as the cameras do"]
