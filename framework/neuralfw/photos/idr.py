"""The layout of IDR and NeuS (DTU): `image/`, `mask/` and an npz file of world_mat_i and scale_mat_i.

world_mat = K [R | t] maps the world to pixels whose centres have integer coordinates, so the principal point moves
by + 0.5 on entry. scale_mat maps the normalised space, where the object lies in the unit sphere, to the world.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Shaped

from neuralfw.errors import UserError
from neuralfw.geometry.archive import read_npz
from neuralfw.geometry.camera import Camera
from neuralfw.geometry.files import existing_file
from neuralfw.geometry.frame import Frame
from neuralfw.photos.model import Capture, View
from neuralfw.photos.pictures import list_images, size_of
from neuralfw.photos.poses import from_integer_centers, from_projection

CAMERAS = ("cameras_sphere.npz", "cameras.npz", "cameras_large.npz", "cameras_new.npz")
"""Files of cameras, in the order in which they are looked for."""

NOISY = "cameras_linear_init.npz"
"""Rough cameras to start from; the true ones are then in the first of `CAMERAS` that exists beside it."""

_IMAGES, _MASKS = ("image", "images", "rgb"), ("mask", "masks")


def read_idr(folder: Path, images: str | None = None, cameras: str | None = None) -> Capture:
    """Read a scene; the i-th image by name has camera i.

    Args:
        folder: of the scene.
        images: name of the folder of images, where it is not image or images.
        cameras: name of the npz file, where it is not the first of `CAMERAS` that exists.

    Raises:
        UserError: images, masks and cameras do not match in number or size, or a camera is malformed.
    """
    photographs = _listed(folder, (images,) if images else _IMAGES)
    if not photographs:
        raise UserError(f"{folder} has no images: a folder {images or ' or '.join(_IMAGES[:2])} was expected.")
    sizes = [size_of(image) for image in photographs]
    _check_sizes(photographs, sizes)
    masks = _listed(folder, _MASKS)
    if masks and len(masks) != len(photographs):
        raise UserError(_unpaired(photographs, masks))
    file = existing_file(folder / (cameras or _first(folder) or CAMERAS[0]))
    matrices = read_npz(file)
    found = _cameras(file, matrices, sizes, photographs[0].parent)
    views = [
        View(image.name, image, camera, mask=masks[index] if masks else None)
        for index, (image, camera) in enumerate(zip(photographs, found, strict=True))
    ]
    frame, notes = _normalisation(matrices, len(views), file)
    true = None
    if file.name == NOISY and (first := _first(folder)):
        true = tuple(_cameras(folder / first, read_npz(folder / first), sizes, photographs[0].parent))
    return Capture("idr", tuple(views), frame=frame, true_cameras=true, notes=(f"cameras of {file.name}", *notes))


def _first(folder: Path) -> str | None:
    """Return the name of the first of `CAMERAS` that a folder has."""
    return next((name for name in CAMERAS if (folder / name).is_file()), None)


def _cameras(
    file: Path, matrices: dict[str, Shaped[np.ndarray, "..."]], sizes: Sequence[tuple[int, int]], images: Path
) -> list[Camera]:
    """Return the camera of each photograph."""
    given = sum(name.startswith("world_mat_") and name[10:].isdigit() for name in matrices)
    if given != len(sizes):
        raise UserError(f"{file} has {given} cameras, but there are {len(sizes)} images in {images}.")
    found = []
    for index, (width, height) in enumerate(sizes):
        name = f"world_mat_{index}"
        camera = from_projection(_matrix(matrices, name, file)[:3], width, height, f"{file}: {name}")
        found.append(from_integer_centers(camera))
    return found


def _check_sizes(images: Sequence[Path], sizes: Sequence[tuple[int, int]]) -> None:
    """Refuse photographs of several sizes: cameras of this layout count the pixels of one."""
    for image, size in zip(images, sizes, strict=True):
        if size != sizes[0]:
            raise UserError(
                f"the images of {image.parent} have different sizes: {images[0].name} has "
                f"{sizes[0][0]} x {sizes[0][1]} pixels, {image.name} has {size[0]} x {size[1]}. One size was expected."
            )


def _unpaired(images: Sequence[Path], masks: Sequence[Path]) -> str:
    """Say that masks are missing or too many and, where names tell, which."""
    text = f"{masks[0].parent} has {len(masks)} masks, but there are {len(images)} images."
    ours, theirs = ({path.stem for path in paths} for paths in (images, masks))
    if theirs < ours:
        return f"{text} There is none for {', '.join(sorted(ours - theirs)[:3])}."
    return text


def _listed(folder: Path, names: tuple[str, ...]) -> list[Path]:
    return next((found for name in names if (found := list_images(folder / name))), [])


def _matrix(matrices: dict[str, Shaped[np.ndarray, "..."]], name: str, file: Path) -> Float64[np.ndarray, "4 4"]:
    found = matrices.get(name)
    if found is None or found.shape != (4, 4) or found.dtype.kind not in "iuf":
        text = "is absent" if found is None else f"has shape {found.shape} and type {found.dtype}"
        raise UserError(f"{file}: {name} {text}; a matrix of 4 x 4 numbers was expected.")
    return found.astype(np.float64)


def _normalisation(
    matrices: dict[str, Shaped[np.ndarray, "..."]], count: int, file: Path
) -> tuple[Frame | None, tuple[str, ...]]:
    if "scale_mat_0" not in matrices:
        return None, ("there is no scale_mat, so the world is not normalised",)
    scale_mat = _matrix(matrices, "scale_mat_0", file)
    scale = float(scale_mat[0, 0])
    if not (np.isfinite(scale_mat).all() and scale > 0.0 and np.allclose(scale_mat[:3, :3], scale * np.eye(3))):
        raise UserError(f"{file}: scale_mat_0 must scale by one positive number and shift, nothing else.")
    same = all(
        np.array_equal(_matrix(matrices, name, file), scale_mat)
        for index in range(count)
        if (name := f"scale_mat_{index}") in matrices
    )
    notes = () if same else ("the cameras have different scale_mat; the first is used for all",)
    return Frame(center=scale_mat[:3, 3].copy(), scale=1.0 / scale), notes
