"""COLMAP's models, sparse and dense. Pixel centres lie at + 0.5 there, as ours."""

from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from neuralfw.errors import UserError
from neuralfw.geometry.camera import Camera
from neuralfw.geometry.point_cloud import PointCloud, usable
from neuralfw.photos.colmap_files import (
    CameraEntry,
    ImageEntry,
    PointEntries,
    find_file,
    read_cameras,
    read_images,
    read_points,
)
from neuralfw.photos.distortion import split_parameters
from neuralfw.photos.model import Capture, Tracks, View
from neuralfw.photos.pictures import ENDINGS, fit_to_file
from neuralfw.photos.poses import from_quaternion, world_to_camera

HOLDOUT = 8

_MODELS = ("sparse/0", "sparse", "colmap/sparse/0", ".")
_IMAGES = ("images", "images_2", "images_4", "images_8", "input")
_MASKS = ("masks", "mask")


def find_model(folder: Path) -> Path | None:
    """Return the folder of a scene in which its model lies, or None."""
    places = [folder / place for place in _MODELS]
    return next((p for p in places if (p / "cameras.bin").is_file() or (p / "cameras.txt").is_file()), None)


def read_colmap(folder: Path, images: str | None = None, *, points: bool = True) -> Capture:
    """Read a scene with its images, and the sparse points.

    Args:
        folder: of the scene.
        images: folder of the images inside of it; default: images, or images_2, images_4, images_8 on a smaller scale.
        points: whether to read the points and where they were seen.

    Raises:
        UserError: a file is damaged, an image is absent, or of other ratios than its camera.
    """
    model = find_model(folder)
    if model is None:
        raise UserError(f"{folder} has no model of COLMAP: sparse/0/cameras.bin or .txt was expected.")
    pictures = _image_folder(folder, images)
    entries = sorted(read_images(find_file(model, "images")), key=lambda entry: entry.name)
    cameras = read_cameras(camera_file := find_file(model, "cameras"))
    if not entries:
        raise UserError(f"{model} has no images with poses: the reconstruction is empty.")
    views, seen = [], []
    for entry in entries:
        where = f"{model}: {entry.name}"
        if entry.camera not in cameras:
            raise UserError(f"{where} was taken by camera {entry.camera}, which {camera_file.name} does not have.")
        view = _view(entry, cameras[entry.camera], pictures, _mask_of(folder, entry.name), where)
        views.append(view)
        seen.append(_undistorted(entry.pixels, cameras[entry.camera], view) if points else entry.pixels)
    dense = folder / "dense" / "fused.ply"
    cloud, tracks = _sparse(model, entries, seen) if points else (None, None)
    return Capture(
        "colmap",
        tuple(views),
        holdout=HOLDOUT,
        points=cloud,
        tracks=tracks,
        cloud=dense if dense.is_file() else None,
        notes=tuple(_notes(folder, model, pictures, cloud if points else PointCloud(np.zeros((0, 3))))),
    )


def _image_folder(folder: Path, images: str | None) -> Path:
    names = (images,) if images else _IMAGES
    found = next((folder / name for name in names if (folder / name).is_dir()), None)
    if found is None:
        raise UserError(f"{folder} has no images: a folder {' or '.join(names)} was expected.")
    return found


def _view(entry: ImageEntry, camera: CameraEntry, folder: Path, mask: Path | None, where: str) -> View:
    given = folder / entry.name
    others = (given.with_suffix(ending) for ending in ENDINGS)
    image = given if given.is_file() else next((path for path in others if path.is_file()), None)
    if image is None or "\0" in entry.name:
        raise UserError(
            f"{where} has a pose, but {given} does not exist: the poses belong to other images, or `images` names "
            "another folder."
        )
    (fx, fy, cx, cy), distortion = split_parameters(camera.model, camera.parameters, where)
    pose = world_to_camera(from_quaternion(*entry.quaternion, where), np.array(entry.translation), where)
    try:
        pinhole = Camera(pose, fx, fy, cx, cy, camera.width, camera.height)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    return View(entry.name, image, fit_to_file(pinhole, image, where), distortion, mask)


def _mask_of(folder: Path, name: str) -> Path | None:
    """Return the mask of an image: NAME.png, as COLMAP calls it, or the same name with another ending."""
    for masks in _MASKS:
        given = folder / masks / name
        candidates = (given.with_name(f"{given.name}.png"), *(given.with_suffix(ending) for ending in ENDINGS))
        if (found := next((path for path in candidates if path.is_file()), None)) is not None:
            return found
    return None


def _undistorted(pixels: Float64[np.ndarray, "k 2"], entry: CameraEntry, view: View) -> Float64[np.ndarray, "k 2"]:
    """Observations in the image of a view's pinhole camera, given in that of the model."""
    ratio = np.array([view.camera.width / entry.width, view.camera.height / entry.height])
    scaled: Float64[np.ndarray, "k 2"] = pixels * ratio
    if view.distortion is None:
        return scaled
    focal, middle = view.camera.intrinsics[:2], view.camera.intrinsics[2:]
    found: Float64[np.ndarray, "k 2"] = view.distortion.undistort((scaled - middle) / focal) * focal + middle
    return found


def _sparse(
    model: Path, entries: list[ImageEntry], seen: list[Float64[np.ndarray, "_ 2"]]
) -> tuple[PointCloud | None, Tracks | None]:
    table = read_points(find_file(model, "points3D"))
    keep = usable(table.positions)
    if not keep.any():
        return None, None
    order = np.flatnonzero(keep)[np.argsort(table.ids[keep], kind="stable")]
    cloud = PointCloud(table.positions[order], colors=table.colors[order] / 255.0)
    return cloud, _tracks(table, order, entries, seen)


def _tracks(
    table: PointEntries,
    order: Int64[np.ndarray, "n"],
    entries: list[ImageEntry],
    seen: list[Float64[np.ndarray, "_ 2"]],
) -> Tracks:
    ids = table.ids[order]
    named = np.concatenate([entry.points for entry in entries])
    view = np.repeat(np.arange(len(entries)), [len(entry.points) for entry in entries])
    pixels = np.concatenate(seen)
    place = np.minimum(np.searchsorted(ids, named), len(ids) - 1)
    known = (ids[place] == named) & np.isfinite(pixels).all(axis=1)
    return Tracks(table.lengths[order], table.errors[order], place[known], view[known], pixels[known])


def _notes(folder: Path, model: Path, pictures: Path, cloud: PointCloud | None) -> list[str]:
    notes = []
    if pictures.name in _IMAGES[1:4]:
        notes.append(f"the photographs of {pictures.name} are used, with the cameras brought to their size")
    others = [p.name for p in sorted(model.parent.iterdir()) if model.name == "0" and p.is_dir() and p.name != "0"]
    if others:
        notes.append(f"COLMAP made several models; 0 is used, not {', '.join(others)}")
    if cloud is None:
        notes.append("the model has no points")
    return notes
