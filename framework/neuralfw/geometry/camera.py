"""A pinhole camera: OpenCV axes (x right, y down, z forward); the centre of pixel (i, j) is (i + 0.5, j + 0.5)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float64

from neuralfw.errors import UserError
from neuralfw.geometry.frame import Frame

Vector = Sequence[float | int] | Float[np.ndarray, "3"]


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera without distortion and skew.

    Attributes:
        world_to_camera: rigid motion from the world to camera axes (x right, y down, z forward).
        fx: focal length along x, pixels; `fy` along y.
        cx: principal point in x, pixels from the left edge of the image; `cy` from its upper edge.
        width: of the image, pixels; `height` likewise.
    """

    world_to_camera: Float64[np.ndarray, "4 4"]
    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def __post_init__(self) -> None:
        if not np.isfinite(self.world_to_camera).all():
            raise UserError("camera: the pose holds numbers that are not finite.")
        R = self.world_to_camera[:3, :3]
        if not (np.allclose(R @ R.T, np.eye(3), atol=1e-4) and np.linalg.det(R) > 0.0):
            raise UserError("camera: the pose's rotation must be orthonormal and must not mirror (determinant +1).")
        if not (all(map(math.isfinite, (self.fx, self.fy, self.cx, self.cy))) and self.fx > 0.0 and self.fy > 0.0):
            raise UserError(
                "camera: focal lengths must be positive and the principal point finite, not "
                f"fx, fy, cx, cy = {self.fx}, {self.fy}, {self.cx}, {self.cy}."
            )
        if self.width < 1 or self.height < 1:
            raise UserError(f"camera: the image must hold pixels, not {self.width} x {self.height}.")

    @classmethod
    def look_at(cls, center: Vector, target: Vector, up: Vector, *, focal: float, width: int, height: int) -> "Camera":
        """A camera at `center` whose optical axis passes through `target`, with `up` pointing up in the image.

        Args:
            center: position in the world.
            target: a world point, apart from `center`.
            up: a world direction that is not along the optical axis.
            focal: focal length in pixels; the principal point is the centre of the image.
            width: of the image, pixels.
            height: of the image, pixels.
        """
        position = np.asarray(center, dtype=np.float64)
        forward = _unit(np.asarray(target, dtype=np.float64) - position)
        right = _unit(np.cross(forward, np.asarray(up, dtype=np.float64)))
        pose = np.eye(4)
        pose[:3, :3] = np.stack([right, np.cross(forward, right), forward])
        pose[:3, 3] = -pose[:3, :3] @ position
        return cls(pose, focal, focal, 0.5 * width, 0.5 * height, width, height)

    @property
    def matrix(self) -> Float64[np.ndarray, "3 3"]:
        """K: camera coordinates to homogeneous pixel coordinates."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    @property
    def intrinsics(self) -> Float64[np.ndarray, "4"]:
        """fx, fy, cx, cy."""
        return np.array([self.fx, self.fy, self.cx, self.cy])

    @property
    def center(self) -> Float64[np.ndarray, "3"]:
        """Position of the camera in the world."""
        center: Float64[np.ndarray, "3"] = -self.world_to_camera[:3, :3].T @ self.world_to_camera[:3, 3]
        return center

    @property
    def axis(self) -> Float64[np.ndarray, "3"]:
        """Unit direction of view in the world."""
        return self.world_to_camera[2, :3].copy()

    def resized(self, width: int, height: int) -> "Camera":
        """The camera of the same picture at another size; each axis is scaled by its own ratio."""
        x, y = width / self.width, height / self.height
        return replace(self, fx=self.fx * x, fy=self.fy * y, cx=self.cx * x, cy=self.cy * y, width=width, height=height)

    def scaled(self, factor: float) -> "Camera":
        """The camera of the picture scaled by a factor; the size is rounded to whole pixels, at least one."""
        return self.resized(max(1, round(self.width * factor)), max(1, round(self.height * factor)))

    def cropped(self, x: int, y: int, width: int, height: int) -> "Camera":
        """The camera of a part of the picture, whose upper left pixel is column `x`, row `y`."""
        return replace(self, cx=self.cx - x, cy=self.cy - y, width=width, height=height)

    def project(self, points: Float[np.ndarray, "n 3"]) -> tuple[Float64[np.ndarray, "n 2"], Float64[np.ndarray, "n"]]:
        """Pixel coordinates of world points, and their depth along the optical axis.

        Points at depth 0 have no finite pixel; at a depth below 0 they lie behind the camera and are not seen.
        """
        local = points @ self.world_to_camera[:3, :3].T + self.world_to_camera[:3, 3]
        depth = local[:, 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            pixels = local[:, :2] / depth[:, None] * (self.fx, self.fy) + (self.cx, self.cy)
        return pixels, depth

    def sees(self, pixels: Float[np.ndarray, "n 2"], depth: Float[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
        """Mark projected points, given as `project` returns them, that fall into the image."""
        x, y = pixels.T
        inside: Bool[np.ndarray, "n"] = (x >= 0.0) & (x < self.width) & (y >= 0.0) & (y < self.height) & (depth > 0.0)
        return inside

    def rays(self) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "h w 3"]]:
        """The camera's centre, and the unit direction in world axes through each pixel's centre."""
        x = (np.arange(self.width) + 0.5 - self.cx) / self.fx
        y = (np.arange(self.height) + 0.5 - self.cy) / self.fy
        local = np.ones((self.height, self.width, 3))
        local[..., 0], local[..., 1] = x, y[:, None]
        directions = local @ self.world_to_camera[:3, :3]
        return self.center, directions / np.linalg.norm(directions, axis=-1, keepdims=True)

    def in_training(self, frame: Frame) -> "Camera":
        """The camera of this world, in a frame's training space. Depths are multiplied by the frame's scale."""
        pose = np.eye(4)
        pose[:3, :3] = self.world_to_camera[:3, :3] @ frame.rotation.T
        pose[:3, 3] = -pose[:3, :3] @ frame.to_training(self.center)
        return replace(self, world_to_camera=pose)

    def to_world(self, frame: Frame) -> "Camera":
        """The camera of a frame's training space, in the world: the inverse of `in_training`."""
        pose = np.eye(4)
        pose[:3, :3] = self.world_to_camera[:3, :3] @ frame.rotation
        pose[:3, 3] = -pose[:3, :3] @ frame.to_world(self.center)
        return replace(self, world_to_camera=pose)


def evenly_spread(count: int, turned: float = 0.0) -> Float64[np.ndarray, "{count} 3"]:
    """Return unit directions that cover the sphere evenly (Fibonacci's lattice); `turned` steps, other ones."""
    z = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    angle, ring = np.pi * (1.0 + 5.0**0.5) * (np.arange(count) + turned), np.sqrt(1.0 - z * z)
    return np.stack([ring * np.cos(angle), ring * np.sin(angle), z], axis=1)


def nearest_to_axes(cameras: Sequence[Camera]) -> Float64[np.ndarray, "3"]:
    """The point with the smallest sum of squared distances to all optical axes; what the cameras look at.

    Where the axes leave it open, as parallel ones do, it is the one nearest to the mean of the cameras' centres.
    """
    centers, axes = np.stack([c.center for c in cameras]), np.stack([c.axis for c in cameras])
    mean = centers.mean(axis=0)
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    right = np.einsum("nij,nj->i", across, centers - mean)
    point: Float64[np.ndarray, "3"] = mean + np.linalg.lstsq(across.sum(axis=0), right, rcond=1e-9)[0]
    return point


def _unit(vector: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "3"]:
    length = float(np.linalg.norm(vector))
    if length == 0.0:
        raise UserError("camera: look_at needs a target apart from the centre, and `up` not along the optical axis.")
    return vector / length
