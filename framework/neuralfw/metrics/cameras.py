"""How far estimated cameras are from the true ones, up to the similarity that photographs leave open; and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64
from scipy.spatial.transform import Rotation

from ..errors import UserError
from ..geometry.camera import Camera, nearest_to_axes

Poses = Float[np.ndarray, "v 4 4"]


@dataclass(frozen=True)
class Similarity:
    """x ↦ scale · rotation x + translation."""

    scale: float
    rotation: Float64[np.ndarray, "3 3"]
    translation: Float64[np.ndarray, "3"]

    def apply(self, points: Float[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3"]:
        """Return the images of points."""
        moved: Float64[np.ndarray, "n 3"] = self.scale * points @ self.rotation.T + self.translation
        return moved


@dataclass(frozen=True)
class CameraErrors:
    """What is left of the differences between cameras after alignment.

    Attributes:
        rotation: angle per camera, degrees.
        center: distance of the centres per camera, units of the true cameras.
        similarity: from the estimated cameras' space to that of the true ones.
    """

    rotation: Float64[np.ndarray, " v"]
    center: Float64[np.ndarray, " v"]
    similarity: Similarity


def centers_of(poses: Poses) -> Float64[np.ndarray, "v 3"]:
    """Return the centres of cameras given by their poses, world to camera."""
    centers: Float64[np.ndarray, "v 3"] = -np.einsum("vji,vj->vi", poses[:, :3, :3], poses[:, :3, 3], dtype=np.float64)
    return centers


def align(estimated: Poses, true: Poses) -> Similarity:
    """Return the similarity that brings estimated cameras onto the true ones, as IDR's evaluation does.

    Its rotation is the mean of the cameras' own in the chordal sense; its scale and translation make the sum of the
    distances (not their squares) between the centres smallest, by iterated weighted least squares.

    Args:
        estimated: poses, world to camera.
        true: of the same cameras, in the same order.

    Raises:
        UserError: fewer than two cameras, or all true or all estimated ones in one place.
    """
    if len(estimated) != len(true) or len(true) < 2:
        raise UserError(
            f"cameras are aligned pair by pair and there must be two at least, not {len(estimated)} and {len(true)}"
        )
    turned = np.einsum("vji,vjk->ik", true[:, :3, :3], estimated[:, :3, :3], dtype=np.float64)
    U, _, Vt = np.linalg.svd(turned)
    rotation = U @ np.diag([1.0, 1.0, np.linalg.det(U @ Vt)]) @ Vt
    source, target = centers_of(estimated) @ rotation.T, centers_of(true)
    spread = min(float(np.ptp(points, axis=0).max()) for points in (source, target))
    if spread < 1e-12:
        raise UserError("cameras cannot be aligned: all of them stand in one place")
    weights, scale, translation = np.ones(len(target)), 1.0, np.zeros(3)
    for _ in range(500):
        before = scale, translation
        share = weights[:, None] / weights.sum()
        a, b = (share * source).sum(axis=0), (share * target).sum(axis=0)
        scale = float((share * (source - a) * (target - b)).sum() / (share * (source - a) ** 2).sum())
        translation = b - scale * a
        distance = np.linalg.norm(scale * source + translation - target, axis=1)
        weights = 1.0 / np.maximum(distance, 1e-9 * spread)
        if abs(scale - before[0]) < 1e-12 * scale and np.abs(translation - before[1]).max() < 1e-12 * spread:
            break
    return Similarity(scale, rotation, translation)


def camera_errors(estimated: Poses, true: Poses) -> CameraErrors:
    """Return the errors of cameras in rotation and centre after `align`.

    Raises:
        UserError: they cannot be aligned.
    """
    similarity = align(estimated, true)
    relative = true[:, :3, :3] @ similarity.rotation @ estimated[:, :3, :3].transpose(0, 2, 1)
    angles = np.degrees(Rotation.from_matrix(relative.astype(np.float64)).magnitude())
    apart = np.linalg.norm(similarity.apply(centers_of(estimated)) - centers_of(true), axis=1)
    return CameraErrors(angles, apart, similarity)


def disturbed(
    poses: Poses, degrees: float, share: float, generator: np.random.Generator
) -> Float64[np.ndarray, "v 4 4"]:
    """Return poses with independent noise: each camera is turned about its centre, and shifted.

    Args:
        poses: world to camera.
        degrees: angle of every turn, about an axis uniform on the sphere.
        share: length of every shift, in a direction uniform on the sphere, relative to the camera's distance from the
            point nearest to all optical axes.
        generator: of the axes and directions.
    """
    axes, directions = (_directions(len(poses), generator) for _ in range(2))
    cameras = [Camera(pose.astype(np.float64), 1.0, 1.0, 0.5, 0.5, 1, 1) for pose in poses]
    target = nearest_to_axes(cameras)
    centers = centers_of(poses)
    distance = np.linalg.norm(centers - target, axis=1, keepdims=True)
    noisy = np.tile(np.eye(4), (len(poses), 1, 1))
    noisy[:, :3, :3] = Rotation.from_rotvec(np.radians(degrees) * axes).as_matrix() @ poses[:, :3, :3]
    noisy[:, :3, 3] = -np.einsum("vij,vj->vi", noisy[:, :3, :3], centers + share * distance * directions)
    return noisy


def summary(errors: CameraErrors) -> dict[str, float]:
    """Return mean and median of the errors, as IDR reports them."""
    named: Sequence[tuple[str, Float64[np.ndarray, " v"]]] = (("rotation", errors.rotation), ("center", errors.center))
    return {f"{name}_{how.__name__}": float(how(values)) for name, values in named for how in (np.mean, np.median)}


def _directions(count: int, generator: np.random.Generator) -> Float64[np.ndarray, "n 3"]:
    normal = generator.normal(size=(count, 3))
    unit: Float64[np.ndarray, "n 3"] = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    return unit
