"""The frame: the one invertible similarity between the user's world and the space in which fields are trained."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Float64

from neuralfw.errors import UserError
from neuralfw.geometry.files import existing_file, write_file

FORMAT = 1
Fit = Literal["sphere", "centroid_sphere", "box", "area", "none"]

Points = Float[np.ndarray, "*n 3"]


def _origin() -> Float64[np.ndarray, "3"]:
    return np.zeros(3)


def _no_rotation() -> Float64[np.ndarray, "3 3"]:
    return np.eye(3)


@dataclass(frozen=True, eq=False)
class Frame:
    """x_training = scale · rotation (x_world − center), in float64.

    Attributes:
        center: the world point that becomes the origin, world units.
        scale: training units per world unit, positive.
        rotation: proper rotation, world axes to training axes.
    """

    center: Float64[np.ndarray, "3"] = field(default_factory=_origin)
    scale: float = 1.0
    rotation: Float64[np.ndarray, "3 3"] = field(default_factory=_no_rotation)

    def __post_init__(self) -> None:
        if not np.isfinite(self.center).all():
            raise UserError(f"frame: center must be finite, not {self.center.tolist()}.")
        if not (math.isfinite(self.scale) and self.scale > 0.0):
            raise UserError(f"frame: scale must be positive and finite, not {self.scale}.")
        R = self.rotation
        if not (np.allclose(R @ R.T, np.eye(3), atol=1e-6) and np.linalg.det(R) > 0.0):
            raise UserError("frame: rotation must be orthonormal and must not mirror (determinant +1).")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frame) and self._numbers() == other._numbers()

    def __hash__(self) -> int:
        return hash(self._numbers())

    def _numbers(self) -> tuple[float, ...]:
        return (*self.center.tolist(), self.scale, *self.rotation.ravel().tolist())

    @classmethod
    def identity(cls) -> "Frame":
        """The frame in which training space is the world."""
        return cls()

    @classmethod
    def fit(
        cls, points: Float[np.ndarray, "n 3"], how: Fit = "sphere", size: float = 1.0, *, area: float | None = None
    ) -> "Frame":
        """Choose centre and scale from world points, without rotation.

        Far outliers shrink the object: drop them first (`clean` does).

        Args:
            points: world points; all must be finite.
            how: `sphere`: centre of the bounding box at the origin, the farthest point at distance `size` (DeepSDF:
                1/1.03). `centroid_sphere`: the same about the mean of the points. `box`: centre of the bounding box at
                the origin, its longest edge becomes `size`. `area`: mean of the points at the origin, the surface
                area becomes `size`². `none`: the identity.
            size: target length in training units.
            area: the surface area in world units; `area` needs it.

        Raises:
            UserError: no points, values that are not finite, no extent, or `area` absent or not positive.
        """
        if how == "none":
            return cls.identity()
        x = _checked(points)
        low, high = x.min(axis=0), x.max(axis=0)
        center = low + 0.5 * (high - low) if how in ("sphere", "box") else x.mean(axis=0)
        if how == "area":
            if area is None or not (math.isfinite(area) and area > 0.0):
                raise UserError(f"frame: fit = 'area' needs a mesh with a positive surface area, not {area}.")
            extent = math.sqrt(area)
        elif how == "box":
            extent = float((high - low).max())
        else:
            extent = float(np.linalg.norm(x - center, axis=1).max())
        if not (extent > 0.0 and math.isfinite(size / extent)):
            raise UserError("frame: all points coincide, so there is no extent to fit. Check the input points.")
        return cls(center=center, scale=size / extent)

    def to_training(self, points: Points) -> Float64[np.ndarray, "*n 3"]:
        """World points in training space."""
        return self.vectors_to_training(points - self.center)

    def to_world(self, points: Points) -> Float64[np.ndarray, "*n 3"]:
        """Training points in the world."""
        world: Float64[np.ndarray, "*n 3"] = self.vectors_to_world(points) + self.center
        return world

    def directions_to_training(self, directions: Points) -> Float64[np.ndarray, "*n 3"]:
        """Rotate world directions (normals, viewing rays); lengths stay."""
        return _product(directions, self.rotation.T)

    def directions_to_world(self, directions: Points) -> Float64[np.ndarray, "*n 3"]:
        """Rotate training directions (normals, viewing rays); lengths stay."""
        return _product(directions, self.rotation)

    def vectors_to_training(self, vectors: Points) -> Float64[np.ndarray, "*n 3"]:
        """Rotate and scale world displacements (velocities, edges)."""
        return _product(vectors, self.rotation.T) * self.scale

    def vectors_to_world(self, vectors: Points) -> Float64[np.ndarray, "*n 3"]:
        """Rotate and scale training displacements (velocities, edges)."""
        return _product(vectors, self.rotation) / self.scale

    def length_to_training(self, length: float) -> float:
        """A world length (a distance, a voxel) in training units."""
        return length * self.scale

    def length_to_world(self, length: float) -> float:
        """A training length (a signed distance, a voxel) in world units."""
        return length / self.scale

    def save(self, path: str | Path) -> None:
        """Write the frame as JSON, atomically; `load` returns the same numbers bit for bit."""
        write_file(path, (json.dumps({"format": FORMAT, **self.to_dict()}, indent=2) + "\n").encode())

    def to_dict(self) -> dict[str, Any]:
        """The frame as plain data; `from_dict` returns the same numbers bit for bit."""
        return {"center": self.center.tolist(), "scale": self.scale, "rotation": self.rotation.tolist()}

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> "Frame":
        """Take up what `to_dict` gave.

        Raises:
            UserError: a number is missing, or they make no valid frame.
        """
        scale = float(_read(document, "scale", ()))
        return cls(center=_read(document, "center", (3,)), scale=scale, rotation=_read(document, "rotation", (3, 3)))

    @classmethod
    def load(cls, path: str | Path) -> "Frame":
        """Read what `save` wrote.

        Raises:
            UserError: the file is absent, not JSON, of another format, or holds no valid frame.
        """
        path = existing_file(path)
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"{path} is not a frame file: {error}.") from error
        if not isinstance(document, dict) or "format" not in document:
            raise UserError(f"{path} is not a frame file: a JSON object with the key 'format' was expected.")
        if document["format"] != FORMAT:
            raise UserError(f"{path} has frame format {document['format']!r}; this version reads format {FORMAT}.")
        try:
            return cls.from_dict(document)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error


def _product(rows: Points, matrix: Float64[np.ndarray, "3 3"]) -> Float64[np.ndarray, "*n 3"]:
    product: Float64[np.ndarray, "*n 3"] = rows @ matrix
    return product


def _checked(points: Float[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3"]:
    if len(points) == 0:
        raise UserError("frame: there are no points to fit.")
    if not np.isfinite(points).all():
        raise UserError("frame: some points are not finite. Drop them first.")
    return points.astype(np.float64)


def _read(document: dict[str, Any], key: str, shape: tuple[int, ...]) -> Float64[np.ndarray, "..."]:
    try:
        values = np.array(document.get(key))
    except ValueError as error:
        raise UserError(f"frame: '{key}' is ragged; shape {shape} was expected.") from error
    if values.dtype.kind not in "iuf" or values.shape != shape:
        raise UserError(f"frame: '{key}' must be numbers of shape {shape}.")
    return values.astype(np.float64)
