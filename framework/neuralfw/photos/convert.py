"""Writes posed photographs in the layout of IDR: image/, mask/ and cameras.npz, normalised from the silhouettes.

The layout and the normalisation are those of IDR's DATA_CONVENTION.md and preprocess_cameras.py (arXiv 2003.09852);
its code reads what is written here.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image

from neuralfw.errors import UserError, saying
from neuralfw.geometry.camera import Camera
from neuralfw.geometry.files import did_you_mean, new_folder, write_file
from neuralfw.geometry.frame import Frame
from neuralfw.metrics.cameras import disturbed
from neuralfw.photos.hull import Box, Hull
from neuralfw.photos.idr import NOISY
from neuralfw.photos.masks import Mask, Source, picture
from neuralfw.photos.model import Capture, View
from neuralfw.photos.sphere import outside

COPIED = (".png", ".jpg")
"""Files that IDR's code finds and reads, and so are taken as they are."""

MARGIN = 1.05
"""Radius of the unit sphere over the distance of the hull's farthest point, at least."""


@dataclass(frozen=True)
class Noise:
    """Independent noise of each camera.

    Attributes:
        degrees: angle by which each is turned about its centre, the axis drawn uniformly.
        distance: length by which each centre is moved in a direction drawn uniformly, as a share of its distance from
            the point nearest to all optical axes.
        seed: of axes and directions.
    """

    degrees: float = 0.0
    distance: float = 0.0
    seed: int = 0

    @classmethod
    def parse(cls, text: str) -> "Noise":
        """Read "degrees=2,distance=0.02,seed=0", in any order, each with its default.

        Raises:
            UserError: an unknown name, no number, or a negative one.
        """
        known: dict[str, float] = {"degrees": 0.0, "distance": 0.0, "seed": 0}
        for part in text.split(","):
            name, _, number = (word.strip() for word in part.partition("="))
            if name not in known:
                raise UserError(
                    f"--camera-noise {text}: {name!r} is not known.{did_you_mean(name, known)} "
                    "Expected degrees=2,distance=0.02,seed=0."
                )
            try:
                known[name] = int(number) if name == "seed" else float(number)
            except ValueError:
                raise UserError(f"--camera-noise {text}: {name} needs a number, not {number!r}.") from None
        if not all(0.0 <= value < np.inf for value in known.values()):
            raise UserError(f"--camera-noise {text}: numbers must not be negative.")
        return cls(known["degrees"], known["distance"], int(known["seed"]))


def convert(
    capture: Capture, folder: Path, masks: Source, *, noise: Noise | None = None, box: Box | None = None
) -> list[str]:
    """Write a capture to a folder, which must be absent or empty; return notes, a sentence each.

    Args:
        capture: photographs of one size.
        folder: gets image/, mask/, cameras.npz and, with noise, cameras_linear_init.npz.
        masks: gives the mask of each view.
        noise: of the cameras in cameras_linear_init.npz; those in cameras.npz are the true ones in any case.
        box: corners of a box in the world that holds the object, or None.

    Raises:
        UserError: photographs of several sizes, a mask without object, silhouettes that have no point in common, or a
            folder that holds something.
    """
    _check_sizes(capture.views)
    new_folder(folder)
    silhouettes = [masks(view) for view in capture.views]
    frame, notes = _normalised(capture, silhouettes, box)
    for index, (view, mask) in enumerate(zip(capture.views, silhouettes, strict=True)):
        write_file(folder / "mask" / f"{index:03}.png", _png(np.repeat(mask[..., None], 3, axis=2)))
        _write_image(view, folder / "image", f"{index:03}")
    write_cameras(folder, capture.cameras, frame, noise)
    if noise is not None:
        notes.append(f"{NOISY} holds the disturbed cameras, cameras.npz the true ones")
    if capture.split:
        notes.append("the layout has no sets: say holdout = 8 for a set test")
    if any(view.time is not None for view in capture.views):
        notes.append("the layout has no time stamps: all photographs are taken to show one moment")
    return [f"{len(capture.views)} photographs with masks and cameras", *notes]


def _check_sizes(views: Sequence[View]) -> None:
    first = views[0]
    for view in views:
        if (view.camera.width, view.camera.height) != (first.camera.width, first.camera.height):
            raise UserError(
                f"the photographs have different sizes, and the layout of IDR takes one: {first.name} has "
                f"{first.camera.width} x {first.camera.height} pixels, {view.name} has "
                f"{view.camera.width} x {view.camera.height}."
            )


def _normalised(capture: Capture, masks: Sequence[Mask], box: Box | None) -> tuple[Frame, list[str]]:
    """Return the frame of the file, where it holds the object in the unit sphere, else that of the silhouettes."""
    cameras = capture.cameras
    if capture.frame is not None and box is None and outside(capture.frame, cameras, masks) is None:
        return capture.frame, ["the normalisation is that of the source"]
    frame = enclosing(Hull.agreed(cameras, masks, box))
    around = " ".join(f"{x:.6g}" for x in frame.center)
    return frame, [f"the unit sphere is the one of radius {1.0 / frame.scale:.6g} about ({around}), by the silhouettes"]


def enclosing(hull: Hull) -> Frame:
    """Return the frame of IDR's normalisation: the hull's mean at the origin, its mean distance from there 1/3.

    Where the hull would leave the unit sphere so, it is made smaller.
    """
    center = hull.points.mean(axis=0)
    distance = np.linalg.norm(hull.points - center, axis=1)
    return Frame(center=center, scale=1.0 / max(3.0 * float(distance.mean()), MARGIN * float(distance.max())))


def _write_image(view: View, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pixels = picture(view)
    if view.distortion is None and pixels.shape[2] == 3 and view.image.suffix in COPIED:
        with saying("copy to", folder):
            shutil.copyfile(view.image, folder / f"{name}{view.image.suffix}")
    else:
        write_file(folder / f"{name}.png", _png(pixels[..., :3]))


def _png(pixels: UInt8[np.ndarray, "h w 3"]) -> bytes:
    encoded = BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG")
    return encoded.getvalue()


def write_cameras(folder: Path, cameras: Sequence[Camera], frame: Frame, noise: Noise | None = None) -> None:
    """Write cameras.npz and, with noise, cameras_linear_init.npz.

    Args:
        folder: of the scan.
        cameras: the true ones, in the world.
        frame: without rotation; its inverse is scale_mat.
        noise: of the cameras in the second file; or None.
    """
    _save_cameras(folder / "cameras.npz", cameras, frame)
    if noise is not None:
        poses = np.stack([camera.world_to_camera for camera in cameras])
        noisy = disturbed(poses, noise.degrees, noise.distance, np.random.default_rng(noise.seed))
        moved = [replace(camera, world_to_camera=pose) for camera, pose in zip(cameras, noisy, strict=True)]
        _save_cameras(folder / NOISY, moved, frame)


def _save_cameras(file: Path, cameras: Sequence[Camera], frame: Frame) -> None:
    scale_mat = np.diag([1.0 / frame.scale] * 3 + [1.0])
    scale_mat[:3, 3] = frame.center
    arrays: dict[str, Float64[np.ndarray, "4 4"]] = {}
    for index, camera in enumerate(cameras):
        arrays |= {f"world_mat_{index}": world_mat(camera), f"scale_mat_{index}": scale_mat}
    encoded = BytesIO()
    np.savez(encoded, **arrays)  # type: ignore[arg-type]
    write_file(file, encoded.getvalue())


def world_mat(camera: Camera) -> Float64[np.ndarray, "4 4"]:
    """Return K [R | t] over (0, 0, 0, 1), for pixels whose centres have integer coordinates."""
    K = camera.matrix
    K[:2, 2] -= 0.5
    matrix = np.eye(4)
    matrix[:3] = K @ camera.world_to_camera[:3]
    return matrix
