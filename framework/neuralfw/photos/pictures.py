"""Decodes image files into arrays of a wanted size, undistorted."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8
from PIL import Image

from neuralfw.errors import UserError
from neuralfw.geometry.camera import Camera
from neuralfw.geometry.files import existing_file
from neuralfw.photos.distortion import Distortion
from neuralfw.photos.model import DepthMap

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")

Pixels = UInt8[np.ndarray, "h w c"]
T = TypeVar("T")


def list_images(folder: Path) -> list[Path]:
    """The image files of a folder, sorted by name; none where there is no folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and path.is_file())


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of an image, from its header alone.

    Raises:
        UserError: the file is absent or no image.
    """
    return _opened(path, lambda image: (image.width, image.height))


def has_alpha(path: Path) -> bool:
    """Whether an image has an alpha channel, from its header alone.

    Raises:
        UserError: the file is absent or no image.
    """
    return _opened(path, _transparent)


def fit_to_file(camera: Camera, path: Path, where: str) -> Camera:
    """Return a camera brought to the size of its image file, which may be the photograph on a smaller scale.

    Raises:
        UserError: the file shows another section than the camera: the ratios of the sides differ by over a pixel.
    """
    width, height = size_of(path)
    if (width, height) == (camera.width, camera.height):
        return camera
    if abs(camera.width * height - camera.height * width) > max(camera.width, camera.height, width, height):
        raise UserError(
            f"{path} has {width} x {height} pixels, but its camera in {where} has {camera.width} x {camera.height}, "
            "another ratio of the sides: the poses belong to other images."
        )
    return camera.resized(width, height)


def read_picture(path: Path, size: tuple[int, int]) -> Pixels:
    """Return an image as RGB, or RGBA where it has an alpha channel, with box filter reduced to a width and height.

    Raises:
        UserError: the file is absent, no image, or truncated.
    """

    def decode(image: Any) -> Pixels:
        return np.array(_sized(image.convert("RGBA" if _transparent(image) else "RGB"), size))

    return _opened(path, decode)


def read_mask(path: Path, size: tuple[int, int]) -> UInt8[np.ndarray, "h w"]:
    """Return a mask, 255 on the object, reduced to a width and height; the alpha channel where the image has one.

    Raises:
        UserError: the file is absent, no image, truncated, or of another shape than `size`.
    """

    def decode(image: Any) -> UInt8[np.ndarray, "h w"]:
        if abs(image.width * size[1] - image.height * size[0]) > max(*image.size, *size):
            text = f"{image.width} x {image.height} pixels do not fit its photograph, which has {size[0]} x {size[1]}"
            raise UserError(f"the mask {path} is of another size: {text} or a multiple of that.")
        grey = image.getchannel("A") if image.mode in ("RGBA", "LA") else image.convert("L")
        return np.array(_sized(grey, size))

    return _opened(path, decode)


def read_depth(depth: DepthMap, size: tuple[int, int]) -> Float32[np.ndarray, "h w"]:
    """Return a depth image in world units, as the file measures it; 0 where it is unknown.

    Raises:
        UserError: the file is absent, no image, or truncated.
    """

    def decode(image: Any) -> Float32[np.ndarray, "h w"]:
        if image.mode in ("RGB", "RGBA", "LA"):
            image = image.getchannel(0)
        stored = np.asarray(image.resize(size, Image.Resampling.NEAREST)).astype(np.float32)
        return np.where(stored != 0, depth.offset + depth.scale * stored, np.float32(0.0)).astype(np.float32)

    return _opened(depth.path, decode)


def _transparent(image: Any) -> bool:
    return image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info


def _sized(image: Any, size: tuple[int, int]) -> Any:
    if image.size == size:
        return image
    smaller = size[0] <= image.width and size[1] <= image.height
    return image.resize(size, Image.Resampling.BOX if smaller else Image.Resampling.BILINEAR)


def _opened(path: Path, use: Callable[[Any], T]) -> T:
    """Return what `use` makes of an opened image; Pillow's errors, of a dozen unrelated types, become one."""
    existing_file(path)
    try:
        with Image.open(path) as image:
            return use(image)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{path} cannot be read as an image: {error}. Copy it again, or leave it out.") from error


@dataclass(frozen=True, eq=False)
class Remap:
    """How the pixels of an undistorted image are gathered from the distorted one of the same size.

    Attributes:
        corner: index of the upper left of the four source pixels, row by row.
        weight: of the source pixel one to the right, and of the one below.
        valid: whether the distorted image shows the pixel.
    """

    corner: Int32[np.ndarray, "n 2"]
    weight: Float32[np.ndarray, "n 2"]
    valid: Bool[np.ndarray, "h w"]

    @classmethod
    def of(cls, camera: Camera, distortion: Distortion) -> "Remap":
        """The map for a pinhole camera's image, given the lens that took it."""
        y, x = np.divmod(np.arange(camera.width * camera.height), camera.width)
        focal, middle = np.array([camera.fx, camera.fy]), np.array([camera.cx, camera.cy])
        ideal = (np.stack([x, y], axis=1) + 0.5 - middle) / focal
        reached = distortion.reaches(ideal)
        source = distortion.distort(np.where(reached[:, None], ideal, 0.0)) * focal + middle
        size = np.array([camera.width, camera.height])
        inside = reached & (source >= 0.0).all(axis=1) & (source <= size).all(axis=1)
        place = np.clip(source - 0.5, 0.0, size - 1)
        corner = np.minimum(place.astype(np.int32), np.maximum(size - 2, 0).astype(np.int32))
        valid = inside.reshape(camera.height, camera.width)
        return cls(corner, (place - corner).astype(np.float32), valid)

    def __call__(self, pixels: Pixels) -> Pixels:
        """The undistorted image, bilinear; colours are weighted by their alpha where there is one."""
        values = pixels.astype(np.float32)
        if values.shape[2] != 4:
            return _rounded(self._gather(values))
        values[..., :3] *= values[..., 3:] / 255.0
        found = self._gather(values)
        found[..., :3] *= 255.0 / np.maximum(found[..., 3:], 1e-6)
        return _rounded(found)

    def _gather(self, values: Float32[np.ndarray, "h w c"]) -> Float32[np.ndarray, "h w c"]:
        height, width, channels = values.shape
        x, y = self.corner[:, 0], self.corner[:, 1]
        right, below = np.minimum(x + 1, width - 1), np.minimum(y + 1, height - 1)
        wx, wy = self.weight[:, :1], self.weight[:, 1:]
        upper = values[y, x] * (1.0 - wx) + values[y, right] * wx
        lower = values[below, x] * (1.0 - wx) + values[below, right] * wx
        found: Float32[np.ndarray, "h w c"] = (upper * (1.0 - wy) + lower * wy).reshape(height, width, channels)
        return found


def _rounded(values: Float32[np.ndarray, "h w c"]) -> Pixels:
    return np.clip(values + 0.5, 0.0, 255.0).astype(np.uint8)
