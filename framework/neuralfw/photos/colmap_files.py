"""COLMAP's files cameras, images and points3D, binary or text, parsed without trusting any count that they state."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from neuralfw.errors import UserError
from neuralfw.geometry.files import existing_file
from neuralfw.photos.distortion import MODELS

_OBSERVATION = np.dtype([("pixels", "<f8", 2), ("point", "<i8")])
_LONGEST_NAME = 4096


@dataclass(frozen=True)
class CameraEntry:
    """A camera: name of its model, size of its images in pixels, all parameters of the model."""

    model: str
    width: int
    height: int
    parameters: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class ImageEntry:
    """An image: name, camera, world-to-camera quaternion (w, x, y, z) and translation, and its observations."""

    name: str
    camera: int
    quaternion: tuple[float, float, float, float]
    translation: tuple[float, float, float]
    pixels: Float64[np.ndarray, "k 2"]
    points: Int64[np.ndarray, "k"]


@dataclass(frozen=True, eq=False)
class PointEntries:
    """All points: identifiers, positions, colours 0 to 255, mean reprojection errors and lengths of their tracks."""

    ids: Int64[np.ndarray, "n"]
    positions: Float64[np.ndarray, "n 3"]
    colors: Float64[np.ndarray, "n 3"]
    errors: Float64[np.ndarray, "n"]
    lengths: Int64[np.ndarray, "n"]


def find_file(folder: Path, name: str) -> Path:
    """Return the binary file of a model, or the text file where there is no binary one.

    Raises:
        UserError: there is neither.
    """
    binary = folder / f"{name}.bin"
    return binary if binary.is_file() else existing_file(folder / f"{name}.txt")


def read_cameras(path: Path) -> dict[int, CameraEntry]:
    """Read cameras.bin or cameras.txt, by identifier.

    Raises:
        UserError: truncated or malformed, or a model that is not known.
    """
    return _Binary(path).cameras() if path.suffix == ".bin" else _Text(path).cameras()


def read_images(path: Path) -> list[ImageEntry]:
    """Read images.bin or images.txt.

    Raises:
        UserError: truncated or malformed.
    """
    return _Binary(path).images() if path.suffix == ".bin" else _Text(path).images()


def read_points(path: Path) -> PointEntries:
    """Read points3D.bin or points3D.txt.

    Raises:
        UserError: truncated or malformed.
    """
    rows = _Binary(path).points() if path.suffix == ".bin" else _Text(path).points()
    table = np.array([row[1:8] for row in rows], dtype=np.float64).reshape(-1, 7)
    ids, lengths = (np.array([row[i] for row in rows], dtype=np.int64) for i in (0, 8))
    return PointEntries(ids, table[:, :3], table[:, 3:6], table[:, 6], lengths)


_Point = tuple[Any, ...]
"""Identifier, x, y, z, red, green, blue, error, length of the track."""


class _Binary:
    """A cursor over a little-endian file."""

    def __init__(self, path: Path) -> None:
        self.path, self.data, self.position = path, path.read_bytes(), 0

    def cameras(self) -> dict[int, CameraEntry]:
        names = [*MODELS]
        found = {}
        for _ in self._each("cameras"):
            identifier, model, width, height = self._take("<iiQQ")
            if not 0 <= model < len(names):
                raise UserError(
                    f"{self.path}: camera {identifier} has model number {model}, which is not known. "
                    f"Known, from 0: {', '.join(names)}. Let COLMAP undistort the images first."
                )
            parameters = self._take(f"<{MODELS[names[model]].size}d")
            found[identifier] = CameraEntry(names[model], width, height, parameters)
        return found

    def images(self) -> list[ImageEntry]:
        found = []
        for _ in self._each("images"):
            _, *pose, camera = self._take("<i7di")
            end = self.data.find(b"\0", self.position, self.position + _LONGEST_NAME)
            if end < 0:
                raise self._malformed("the name of an image has no end")
            name = self.data[self.position : end].decode("utf-8", "replace")
            self.position = end + 1
            (count,) = self._take("<Q")
            if count * _OBSERVATION.itemsize > len(self.data) - self.position:
                raise self._malformed(f"{name} promises {count} observations")
            rows = np.frombuffer(self.data, _OBSERVATION, count, self.position)
            self.position += rows.nbytes
            pixels, points = rows["pixels"].astype(np.float64), rows["point"].astype(np.int64)
            found.append(ImageEntry(name, camera, tuple(pose[:4]), tuple(pose[4:]), pixels, points))
        return found

    def points(self) -> list[_Point]:
        found = []
        for _ in self._each("points"):
            *point, length = self._take("<q3d3BdQ")
            if length * 8 > len(self.data) - self.position:
                raise self._malformed(f"point {point[0]} promises a track of {length}")
            self.position += length * 8
            found.append((*point, length))
        return found

    def _each(self, what: str) -> Iterator[None]:
        """Yield once for each of the entries that the file promises, as long as there are data."""
        (count,) = self._take("<Q")
        for done in range(count):
            if self.position >= len(self.data):
                raise self._malformed(f"it promises {count} {what}, but the data end after {done}")
            yield

    def _take(self, layout: str) -> tuple[Any, ...]:
        try:
            values = struct.unpack_from(layout, self.data, self.position)
        except struct.error:
            raise self._malformed("the data end in the middle of an entry") from None
        self.position += struct.calcsize(layout)
        return values

    def _malformed(self, why: str) -> UserError:
        return UserError(f"{self.path} is truncated or damaged: {why}. Copy it again.")


class _Text:
    """The lines of a text file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            text = path.read_text(encoding="utf-8")
        except ValueError as error:
            raise UserError(f"{path} is no text file of COLMAP: {error}.") from error
        self.lines = [(i, line) for i, line in enumerate(text.splitlines(), 1) if not line.startswith("#")]

    def cameras(self) -> dict[int, CameraEntry]:
        found = {}
        for number, line in self.lines:
            if words := line.split():
                with self._line(number, "CAMERA_ID MODEL WIDTH HEIGHT PARAMS[]"):
                    entry = CameraEntry(words[1], int(words[2]), int(words[3]), tuple(map(float, words[4:])))
                    found[int(words[0])] = entry
        return found

    def images(self) -> list[ImageEntry]:
        while self.lines and not self.lines[-1][1].strip():
            self.lines.pop()
        found = []
        for (number, line), (after, observed) in zip(
            self.lines[::2], [*self.lines[1::2], (0, "")][: len(self.lines[::2])], strict=True
        ):
            with self._line(number, "IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME"):
                words = line.split(maxsplit=9)
                qw, qx, qy, qz, tx, ty, tz = map(float, words[1:8])
                camera, name = int(words[8]), words[9].strip()
            with self._line(after, "POINTS2D[] as X Y POINT3D_ID"):
                table = np.array(observed.split(), dtype=np.float64).reshape(-1, 3)
                points = np.array(observed.split()[2::3], dtype=np.int64)
            found.append(ImageEntry(name, camera, (qw, qx, qy, qz), (tx, ty, tz), table[:, :2], points))
        return found

    def points(self) -> list[_Point]:
        found = []
        for number, line in self.lines:
            if words := line.split():
                with self._line(number, "POINT3D_ID X Y Z R G B ERROR TRACK[] as IMAGE_ID POINT2D_IDX"):
                    values = [float(word) for word in words[1:8]]
                    if len(values) < 7 or len(words) % 2:
                        raise ValueError(len(words))
                    found.append((_int64(words[0]), *values, (len(words) - 8) // 2))
        return found

    def _line(self, number: int, expected: str) -> "_Line":
        return _Line(f"{self.path}, line {number}: expected {expected}.")


@dataclass(frozen=True)
class _Line:
    """Turns what goes wrong with a line into one message."""

    message: str

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ValueError | IndexError | OverflowError):
            raise UserError(self.message) from error


def _int64(text: str) -> int:
    value = int(text)
    if abs(value) >= 2**63:
        raise ValueError(text)
    return value
