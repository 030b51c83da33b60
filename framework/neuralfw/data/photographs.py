"""The pixels of posed photographs: read on first use, in threads, kept as bytes and turned to floats as drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped, UInt8
from torch import Tensor

from ..errors import UserError
from ..geometry.camera import Camera
from ..photos.hull import COVERED
from ..photos.masks import empty
from ..photos.model import View
from ..photos.pictures import Remap, has_alpha, read_depth, read_mask, read_picture

FLOAT_BUDGET = 1 << 30
"""Bytes up to which the colours are kept as floats too, so that a draw costs nothing."""

_THREADS = 4

T = TypeVar("T")


@dataclass(frozen=True)
class Section:
    """The size to which a photograph is scaled, and the part of it that is then used.

    Attributes:
        width: after scaling; `height` likewise.
        crop: x, y, width and height of the part, or None for all of it.
    """

    width: int
    height: int
    crop: tuple[int, int, int, int] | None = None

    def camera(self, camera: Camera) -> Camera:
        """The camera of the part.

        Raises:
            UserError: the part does not lie in the picture.
        """
        scaled = camera.resized(self.width, self.height)
        if self.crop is None:
            return scaled
        x, y, width, height = self.crop
        if min(x, y) < 0 or min(width, height) < 1 or x + width > self.width or y + height > self.height:
            raise UserError(f"crop = {list(self.crop)} leaves the photographs, which have {self.width} x {self.height}")
        return scaled.cropped(x, y, width, height)

    def cut(self, pixels: Shaped[np.ndarray, "h w c"]) -> Shaped[np.ndarray, "h2 w2 c"]:
        """The part of a scaled picture."""
        if self.crop is None:
            return pixels
        x, y, width, height = self.crop
        return pixels[y : y + height, x : x + width]


@dataclass(frozen=True, eq=False)
class Pixels:
    """A photograph in memory.

    Attributes:
        rgb: colours as stored.
        cover: how much of each pixel is the object's, 255 for all; or None where everything is.
        valid: whether the pixel was observed; or None where all were.
    """

    rgb: UInt8[Tensor, "h w 3"]
    cover: UInt8[Tensor, "h w"] | None
    valid: Bool[Tensor, "h w"] | None


class Photographs:
    """The photographs of a data set.

    Attributes:
        masked: whether what is not the object's is known, by alpha channels or by mask files that are used.
        partial: whether some pixels were not observed, by a distortion or by files that say so.
    """

    def __init__(self, views: Sequence[View], sections: Sequence[Section], *, use_masks: bool) -> None:
        self._views, self._sections, self._use_masks = views, sections, use_masks
        self._cameras = [s.camera(v.camera) for v, s in zip(views, sections, strict=True)]
        self._remaps: dict[object, Remap] = {}
        self._colors: dict[int, Float[Tensor, "h w 3"]] = {}
        self._depths: dict[int, Float[Tensor, "h w"]] = {}
        self.partial = any(v.distortion is not None or v.valid is not None for v in views)
        self.masked = use_masks and any(v.mask is not None or has_alpha(v.image) for v in views)

    @property
    def nbytes(self) -> int:
        """Memory of the colours and masks as bytes; as floats they take four times that."""
        return sum(camera.width * camera.height * (4 if self.masked else 3) for camera in self._cameras)

    @property
    def keeps_floats(self) -> bool:
        """Whether the colours are kept as floats too."""
        return 4 * self.nbytes <= FLOAT_BUDGET

    def __getitem__(self, index: int) -> Pixels:
        return self._pixels[index]

    def color(self, index: int, background: Float[Tensor, "3"], *, keep: bool = False) -> Float[Tensor, "h w 3"]:
        """Return a photograph's colours in [0, 1] on a background.

        Args:
            index: of the view.
            background: in [0, 1].
            keep: the background is the same each time, so that the result may be kept and given again.
        """
        if keep and index in self._colors:
            return self._colors[index]
        color = composite(self._pixels[index].rgb, self._pixels[index].cover, background)
        if keep and self.keeps_floats:
            self._colors[index] = color
        return color

    def mask(self, index: int) -> Float[Tensor, "h w"]:
        """Return how much of each pixel is the object's, 0 to 1."""
        cover = self._pixels[index].cover
        return torch.ones(self._shape(index)) if cover is None else cover * (1.0 / 255.0)

    def valid(self, index: int) -> Bool[Tensor, "h w"]:
        """Return which pixels were observed."""
        valid = self._pixels[index].valid
        return torch.ones(self._shape(index), dtype=torch.bool) if valid is None else valid

    def silhouettes(self, indices: Sequence[int]) -> list[UInt8[np.ndarray, "_ _"]]:
        """Return the masks of some views, 0 to 255, without reading the other photographs."""
        masks = _in_threads(self._silhouette, indices)
        self._refuse_empty(zip(indices, masks, strict=True))
        return masks

    def depth(self, index: int, length: float) -> Float[Tensor, "h w"] | None:
        """Return the depth along the optical axis, 0 where it is unknown; None where a view has no depth image.

        Args:
            index: of the view.
            length: training units per world unit.
        """
        depth, section, camera = self._views[index].depth, self._sections[index], self._cameras[index]
        if depth is None:
            return None
        if index not in self._depths:
            values = section.cut(read_depth(depth, (section.width, section.height))[..., None])[..., 0]
            if depth.along == "ray":
                values = values * (camera.rays()[1] @ camera.axis)
            self._depths[index] = torch.from_numpy((values * length).astype(np.float32))
        return self._depths[index]

    @cached_property
    def _pixels(self) -> list[Pixels]:
        pixels = _in_threads(self._read, range(len(self._views)))
        self._refuse_empty((i, p.cover.numpy()) for i, p in enumerate(pixels) if p.cover is not None)
        return pixels

    def _refuse_empty(self, masks: Iterable[tuple[int, UInt8[np.ndarray, "_ _"]]]) -> None:
        """Refuse masks that show no object."""
        black = [self._views[index] for index, mask in masks if not (mask >= COVERED).any()]
        if black:
            moments = ("" if view.time is None else f" at time {view.time:g}" for view in black)
            raise UserError(empty(*(view.name + moment for view, moment in zip(black, moments, strict=True))))

    def _read(self, index: int) -> Pixels:
        view, section = self._views[index], self._sections[index]
        size = (section.width, section.height)
        picture = read_picture(view.image, size)
        if view.mask is not None and self._use_masks:
            picture = np.concatenate([picture[..., :3], read_mask(view.mask, size)[..., None]], axis=2)
        picture, valid = self._straightened(view, section, picture)
        tensor = torch.from_numpy(section.cut(picture).copy())
        cover = tensor[..., 3].contiguous() if tensor.shape[2] == 4 else None
        return Pixels(tensor[..., :3].contiguous(), cover, valid)

    def _straightened(
        self, view: View, section: Section, picture: UInt8[np.ndarray, "h w c"]
    ) -> tuple[UInt8[np.ndarray, "h w c"], Bool[Tensor, "h2 w2"] | None]:
        """Undo a picture's distortion; say which pixels of the used part were observed."""
        seen = None if view.valid is None else read_mask(view.valid, (section.width, section.height)) > 127
        if view.distortion is not None:
            remap = self._remap(view, section)
            picture = remap(picture)
            seen = remap.valid if seen is None else remap.valid & (remap(seen[..., None] * np.uint8(255))[..., 0] > 127)
        if seen is None:
            return picture, None
        return picture, torch.from_numpy(np.ascontiguousarray(section.cut(seen[..., None].view(np.uint8))[..., 0] > 0))

    def _remap(self, view: View, section: Section) -> Remap:
        """Return the map of a lens, made once for all photographs that share it."""
        assert view.distortion is not None
        camera = view.camera.resized(section.width, section.height)
        key = (view.distortion, *camera.intrinsics.tolist(), camera.width, camera.height)
        if key not in self._remaps:
            self._remaps[key] = Remap.of(camera, view.distortion)
        return self._remaps[key]

    def _silhouette(self, index: int) -> UInt8[np.ndarray, "h w"]:
        view, section = self._views[index], self._sections[index]
        if "_pixels" in self.__dict__ or view.distortion is not None:
            cover = self._pixels[index].cover if "_pixels" in self.__dict__ else self._read(index).cover
            return np.full(self._shape(index), 255, np.uint8) if cover is None else cover.numpy()
        file = view.mask or view.image
        if view.mask is None and not has_alpha(file):
            return np.full(self._shape(index), 255, np.uint8)
        return section.cut(read_mask(file, (section.width, section.height))[..., None])[..., 0]

    def _shape(self, index: int) -> tuple[int, int]:
        return self._cameras[index].height, self._cameras[index].width


def composite(
    rgb: UInt8[Tensor, "*pixels 3"], cover: UInt8[Tensor, "*pixels"] | None, background: Float[Tensor, "3"]
) -> Float[Tensor, "*pixels 3"]:
    """Return colours in [0, 1] on a background, which shows where `cover` is below 255."""
    color = rgb * (1.0 / 255.0)
    if cover is None:
        return color
    return torch.lerp(background.expand_as(color), color, (cover * (1.0 / 255.0))[..., None])


def _in_threads(read: Callable[[int], T], indices: Sequence[int]) -> list[T]:
    """Return what `read` gives for each; Pillow decodes without the interpreter's lock."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(read, indices))
