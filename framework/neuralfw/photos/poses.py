"""Poses and camera matrices as files write them, made into `Camera`s."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Float64

from neuralfw.errors import UserError
from neuralfw.geometry.camera import Camera

_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
"""Camera axes of OpenGL and Blender (x right, y up, z backwards), in those of OpenCV."""


def world_to_camera(
    rotation: Float[np.ndarray, "3 3"], translation: Float[np.ndarray, "3"], where: str
) -> Float64[np.ndarray, "4 4"]:
    """Return the pose of x_camera = R x_world + t, R being made orthonormal to full precision.

    Raises:
        UserError: not finite, or no rotation.
    """
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = _orthonormal(rotation, where), translation
    if not np.isfinite(pose).all():
        raise UserError(f"{where}: the pose holds numbers that are not finite.")
    return pose


def from_camera_to_world(matrix: Float[np.ndarray, "4 4"], where: str, *, opengl: bool) -> Float64[np.ndarray, "4 4"]:
    """Return the world-to-camera pose of a camera-to-world matrix, with the axes of OpenGL or OpenCV.

    Raises:
        UserError: not finite, or no rotation.
    """
    if not np.isfinite(matrix).all():
        raise UserError(f"{where}: the pose holds numbers that are not finite.")
    local = matrix.astype(np.float64) @ _OPENGL if opengl else matrix.astype(np.float64)
    rotation = _orthonormal(local[:3, :3], where).T
    return world_to_camera(rotation, -rotation @ local[:3, 3], where)


def from_quaternion(w: float, x: float, y: float, z: float, where: str) -> Float64[np.ndarray, "3 3"]:
    """Return the rotation of a quaternion of any length.

    Raises:
        UserError: it is zero or not finite.
    """
    q = np.array([w, x, y, z], dtype=np.float64)
    length = float(np.sqrt(q @ q)) if np.isfinite(q).all() and np.abs(q).max() < 1e100 else 0.0
    if length == 0.0:
        raise UserError(f"{where}: the rotation {[w, x, y, z]} is no quaternion.")
    w, x, y, z = (q / length).tolist()
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def from_projection(projection: Float[np.ndarray, "3 4"], width: int, height: int, where: str) -> Camera:
    """Return the camera of d (x, y, 1)ᵀ = P (X, 1)ᵀ = K [R | t] (X, 1)ᵀ, x and y as the file counts them.

    Raises:
        UserError: not finite, singular, or with skewed pixels.
    """
    if not (np.isfinite(projection).all() and np.abs(projection).max() < 1e50):
        raise UserError(f"{where}: the projection matrix holds numbers that are not finite.")
    left = projection[:, :3].astype(np.float64)
    if not abs(np.linalg.det(left)) > 1e-12 * np.abs(left).max() ** 3:
        raise UserError(f"{where}: the projection matrix is singular, so it describes no camera.")
    scale = np.sign(np.linalg.det(left))
    K, R = _rq(scale * left)
    t = np.linalg.solve(K, scale * projection[:, 3].astype(np.float64))
    K = K / K[2, 2]
    if abs(K[0, 1]) * height / K[1, 1] > 0.5:
        raise UserError(f"{where}: the pixels are skewed by {K[0, 1]:.3g}: rectify the images first.")
    fx, fy, cx, cy = map(float, (K[0, 0], K[1, 1], K[0, 2], K[1, 2]))
    return Camera(world_to_camera(R, t, where), fx, fy, cx, cy, width, height)


def _rq(matrix: Float64[np.ndarray, "3 3"]) -> tuple[Float64[np.ndarray, "3 3"], Float64[np.ndarray, "3 3"]]:
    """Return K R = matrix, K upper triangular with a positive diagonal, R a rotation; of a positive determinant."""
    flip = np.eye(3)[::-1]
    q, r = np.linalg.qr((flip @ matrix).T)
    K, R = flip @ r.T @ flip, flip @ q.T
    signs = np.diag(np.sign(np.diag(K)))
    return K @ signs, signs @ R


def _orthonormal(rotation: Float[np.ndarray, "3 3"], where: str) -> Float64[np.ndarray, "3 3"]:
    if not np.isfinite(rotation).all():
        raise UserError(f"{where}: the pose holds numbers that are not finite.")
    R = rotation.astype(np.float64)
    if np.abs(R).max() > 2.0 or not np.allclose(R @ R.T, np.eye(3), atol=1e-3) or np.linalg.det(R) < 0.0:
        raise UserError(f"{where}: the pose's first three rows and columns are no rotation.")
    u, _, v = np.linalg.svd(R)
    nearest: Float64[np.ndarray, "3 3"] = u @ v
    return nearest


def from_integer_centers(camera: Camera) -> Camera:
    """Return a camera read from a file that counts pixel centres as integers, in the convention of `Camera`."""
    return replace(camera, cx=camera.cx + 0.5, cy=camera.cy + 0.5)
