"""Finds the format of a folder of posed photographs and reads it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from neuralfw.errors import UserError
from neuralfw.photos.colmap import find_model, read_colmap
from neuralfw.photos.idr import CAMERAS, read_idr
from neuralfw.photos.llff import read_llff
from neuralfw.photos.middlebury import find_parameters, read_middlebury
from neuralfw.photos.model import Capture
from neuralfw.photos.neilf import read_neilf
from neuralfw.photos.pictures import has_alpha
from neuralfw.photos.stamps import check_stamps
from neuralfw.photos.transforms import read_blender, read_transforms


@dataclass(frozen=True)
class Format:
    """A format: how it is recognised, in words and in code, and its reader.

    The reader takes the path, the name of the folder of images, that of the file of cameras, and whether points are
    wanted, and leaves what it has no use for.
    """

    sign: str
    fits: Callable[[Path], bool]
    read: Callable[[Path, str | None, str | None, bool], Capture]


def _transforms_file(path: Path) -> Path:
    return path if path.suffix == ".json" else path / "transforms.json"


FORMATS: Mapping[str, Format] = {
    "colmap": Format(
        "sparse/0/cameras.bin or .txt",
        lambda path: find_model(path) is not None,
        lambda path, images, cameras, points: read_colmap(path, images, points=points),
    ),
    "blender": Format(
        "transforms_train.json",
        lambda path: (path / "transforms_train.json").is_file(),
        lambda path, images, cameras, points: read_blender(path, images),
    ),
    "transforms": Format(
        "transforms.json",
        lambda path: _transforms_file(path).is_file(),
        lambda path, images, cameras, points: read_transforms(_transforms_file(path), images),
    ),
    "neilf": Format(
        "inputs/sfm_scene.json",
        lambda path: (path / "inputs" / "sfm_scene.json").is_file(),
        lambda path, images, cameras, points: read_neilf(path, images),
    ),
    "idr": Format(
        "cameras_sphere.npz or cameras.npz",
        lambda path: any((path / name).is_file() for name in CAMERAS),
        lambda path, images, cameras, points: read_idr(path, images, cameras),
    ),
    "middlebury": Format(
        "NAME_par.txt",
        lambda path: find_parameters(path) is not None,
        lambda path, images, cameras, points: read_middlebury(path, images),
    ),
    "llff": Format(
        "poses_bounds.npy",
        lambda path: (path / "poses_bounds.npy").is_file() or (path / "precomputed.json").is_file(),
        lambda path, images, cameras, points: read_llff(path, images),
    ),
}
"""By name, in the order in which they are tried."""


def detect(path: Path) -> str:
    """Return the name of the format of a folder (or of a transforms.json).

    Raises:
        UserError: nothing is there, or nothing that is known.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist. A folder of posed photographs was expected.")
    found = next((name for name, fmt in FORMATS.items() if fmt.fits(path)), None)
    if found is None:
        signs = "; ".join(f"{fmt.sign} ({name})" for name, fmt in FORMATS.items())
        raise UserError(f"{path} holds no photographs with poses in a known format. Expected one of: {signs}.")
    return found


def read_capture(
    path: Path,
    format: str | None = None,
    *,
    images: str | None = None,
    cameras: str | None = None,
    points: bool = True,
) -> Capture:
    """Read a scene's cameras, points and the names of its files.

    Args:
        path: folder of the scene.
        format: one of `FORMATS`; None detects it.
        images: name of the folder of images, where it is not the format's own.
        cameras: name of the file of cameras, for formats that may have several.
        points: whether the format's sparse points are wanted.

    Raises:
        UserError: the folder is of another format, or anything in it is malformed or does not match.
    """
    if format is None:
        format = detect(path)
    elif not (path.exists() and (FORMATS[format].fits(path) or cameras)):
        raise UserError(f"{path} is not of format {format}: {FORMATS[format].sign} was expected.")
    capture = FORMATS[format].read(path, images, cameras, points)
    check_stamps(capture, path)
    return capture


def offers(path: Path, format: str | None, *, images: str | None = None, cameras: str | None = None) -> frozenset[str]:
    """Return which of the quantities mask, valid, depth and time the first view brings.

    Where the scene cannot be read, all of them: what is wrong with it is told by whoever opens it.
    """
    try:
        first = read_capture(path, format, images=images, cameras=cameras, points=False).views[0]
        masked = first.mask is not None or has_alpha(first.image)
    except UserError:
        return frozenset({"mask", "valid", "depth", "time"})
    found = {
        "mask": masked,
        "valid": first.valid is not None or first.distortion is not None,
        "depth": first.depth is not None,
        "time": first.time is not None,
    }
    return frozenset(name for name, there in found.items() if there)
