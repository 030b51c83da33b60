"""Lens distortion as COLMAP models it (and with it OpenCV, instant-ngp and nerfstudio), and its inverse.

A model's parameters are the focal lengths and the principal point, which make the pinhole camera, and coefficients,
which make the `Distortion`: a map of the plane at depth 1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Float64

from neuralfw.errors import UserError
from neuralfw.suggest import nearest

Plane = Float64[np.ndarray, "n 2"]
_Formula = Callable[[Plane, tuple[float, ...]], Plane]


def _squares(xy: Plane) -> Float64[np.ndarray, "n 1"]:
    squares: Float64[np.ndarray, "n 1"] = (xy * xy).sum(axis=1, keepdims=True)
    return squares


def _polynomial(t: Float64[np.ndarray, "n 1"], coefficients: Sequence[float]) -> Float64[np.ndarray, "n 1"]:
    """1 + c0 t + c1 t² + …"""
    total = np.zeros_like(t)
    for c in reversed(coefficients):
        total = (total + c) * t
    return 1.0 + total


def _tangential(xy: Plane, p1: float, p2: float) -> Plane:
    square, product = _squares(xy)[:, 0], 2.0 * xy[:, 0] * xy[:, 1]
    return np.stack(
        [p1 * product + p2 * (square + 2.0 * xy[:, 0] ** 2), p2 * product + p1 * (square + 2.0 * xy[:, 1] ** 2)], axis=1
    )


def _radial(xy: Plane, k: tuple[float, ...]) -> Plane:
    bent: Plane = xy * _polynomial(_squares(xy), k)
    return bent


def _opencv(xy: Plane, k: tuple[float, ...]) -> Plane:
    k1, k2, p1, p2 = k
    bent: Plane = xy * _polynomial(_squares(xy), (k1, k2)) + _tangential(xy, p1, p2)
    return bent


def _full_opencv(xy: Plane, k: tuple[float, ...]) -> Plane:
    k1, k2, p1, p2, k3, k4, k5, k6 = k
    square = _squares(xy)
    radial = _polynomial(square, (k1, k2, k3)) / _polynomial(square, (k4, k5, k6))
    bent: Plane = xy * radial + _tangential(xy, p1, p2)
    return bent


def _by_angle(xy: Plane) -> Plane:
    """Points of the plane moved so that their distance from the centre is the angle to the axis."""
    radius = np.sqrt(_squares(xy))
    return xy * np.where(radius > 1e-8, np.arctan(radius) / np.maximum(radius, 1e-8), 1.0)


def _fisheye(xy: Plane, k: tuple[float, ...]) -> Plane:
    return _radial(_by_angle(xy), k)


def _thin_prism(xy: Plane, k: tuple[float, ...]) -> Plane:
    k1, k2, p1, p2, k3, k4, sx, sy = k
    angular = _by_angle(xy)
    square = _squares(angular)
    radial = angular * _polynomial(square, (k1, k2, k3, k4))
    bent: Plane = radial + _tangential(angular, p1, p2) + square * np.array([sx, sy])
    return bent


def _fov(xy: Plane, k: tuple[float, ...]) -> Plane:
    """Devernay and Faugeras 2001, "Straight lines have to be straight"."""
    (omega,) = k
    if abs(omega) < 1e-8:
        return xy
    radius, slope = np.sqrt(_squares(xy)), 2.0 * np.tan(0.5 * omega)
    factor = np.where(radius > 1e-8, np.arctan(radius * slope) / np.maximum(radius * omega, 1e-12), slope / omega)
    bent: Plane = xy * factor
    return bent


@dataclass(frozen=True)
class Model:
    """A camera model of COLMAP: whether it has one focal length or two, how many coefficients, and their formula.

    `straight` coefficients, all zero, leave the image as it is; fisheye models bend it in any case.
    """

    single_focal: bool
    coefficients: int
    formula: _Formula
    straight: bool = True

    @property
    def size(self) -> int:
        """Number of all parameters."""
        return (3 if self.single_focal else 4) + self.coefficients


MODELS: dict[str, Model] = {
    "SIMPLE_PINHOLE": Model(True, 0, _radial),
    "PINHOLE": Model(False, 0, _radial),
    "SIMPLE_RADIAL": Model(True, 1, _radial),
    "RADIAL": Model(True, 2, _radial),
    "OPENCV": Model(False, 4, _opencv),
    "OPENCV_FISHEYE": Model(False, 4, _fisheye, straight=False),
    "FULL_OPENCV": Model(False, 8, _full_opencv),
    "FOV": Model(False, 1, _fov),
    "SIMPLE_RADIAL_FISHEYE": Model(True, 1, _fisheye, straight=False),
    "RADIAL_FISHEYE": Model(True, 2, _fisheye, straight=False),
    "THIN_PRISM_FISHEYE": Model(False, 8, _thin_prism, straight=False),
}
"""By name, in the order of COLMAP's numbers from 0."""


@dataclass(frozen=True)
class Distortion:
    """Where a lens puts the points of the plane at depth 1.

    Attributes:
        model: one of `MODELS`.
        coefficients: of that model, without focal lengths and principal point, in COLMAP's order.
    """

    model: str
    coefficients: tuple[float, ...]

    def distort(self, xy: Float[np.ndarray, "n 2"]) -> Plane:
        """Where points (x/z, y/z) of an ideal camera appear, in the same units."""
        return MODELS[self.model].formula(xy.astype(np.float64), self.coefficients)

    def undistort(self, xy: Float[np.ndarray, "n 2"]) -> Plane:
        """The inverse of `distort`, by Newton's method, exact to about 1e-12 where it exists; NaN elsewhere."""
        target = xy.astype(np.float64)
        guess = target.copy()
        for _ in range(30):
            residual = self.distort(guess) - target
            if not (np.abs(residual) > 1e-13).any():
                break
            guess = guess - _bounded(np.linalg.solve(self._jacobian(guess), residual[..., None])[..., 0])
        found = np.all(np.abs(self.distort(guess) - target) < 1e-9, axis=1, keepdims=True)
        return np.where(found, guess, np.nan)

    def _jacobian(self, xy: Plane) -> Float64[np.ndarray, "n 2 2"]:
        step = 1e-6
        columns = [(self.distort(xy + shift) - self.distort(xy - shift)) / (2.0 * step) for shift in np.eye(2) * step]
        jacobian = np.stack(columns, axis=2)
        singular = np.abs(np.linalg.det(jacobian))[:, None, None] < 1e-12
        return np.where(singular, np.eye(2), jacobian)

    def reaches(self, xy: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, "n"]:
        """Mark points before the radius where the formula folds back, beyond which it describes no lens."""
        inside: Bool[np.ndarray, "n"] = np.hypot(xy[:, 0], xy[:, 1]) < self._fold
        return inside

    @cached_property
    def _fold(self) -> float:
        """The smallest radius, of up to 10, at which a point moved outwards no longer appears farther out."""
        radii, angles = np.linspace(0.0, 10.0, 4001), np.linspace(0.0, 2.0 * np.pi, 16, endpoint=False)
        fold = np.inf
        for direction in np.stack([np.cos(angles), np.sin(angles)], axis=1):
            seen = self.distort(radii[:, None] * direction) @ direction
            if (back := np.flatnonzero(~(np.diff(seen) > 0.0))).size:
                fold = min(fold, float(radii[back[0]]))
        return fold


def _bounded(step: Plane) -> Plane:
    """Newton steps no longer than 0.5, so that none jumps over a fold."""
    length = np.linalg.norm(step, axis=1, keepdims=True)
    bounded: Plane = step * np.minimum(1.0, 0.5 / np.maximum(length, 1e-300))
    return bounded


def split_parameters(
    model: str, parameters: Sequence[float], where: str
) -> tuple[tuple[float, float, float, float], Distortion | None]:
    """Return (fx, fy, cx, cy) and the distortion of a camera model's parameters, None where it bends nothing.

    Args:
        model: name of the model.
        parameters: all of them, in COLMAP's order.
        where: what an error names: the file and camera.

    Raises:
        UserError: the model is not known, or has another number of parameters.
    """
    known = MODELS.get(model)
    if known is None:
        near = "".join(f" Did you mean {name}?" for name in nearest(model, MODELS, n=1))
        raise UserError(f"{where}: the camera model {model} is not known.{near} Known: {', '.join(MODELS)}.")
    if len(parameters) != known.size:
        raise UserError(f"{where}: {model} has {known.size} parameters, but {len(parameters)} are given.")
    if not np.isfinite(parameters).all():
        raise UserError(f"{where}: the camera's parameters hold numbers that are not finite.")
    if known.single_focal:
        focal, cx, cy, *coefficients = map(float, parameters)
        pinhole = (focal, focal, cx, cy)
    else:
        fx, fy, cx, cy, *coefficients = map(float, parameters)
        pinhole = (fx, fy, cx, cy)
    bends = any(coefficients) or not known.straight
    return pinhole, Distortion(model, tuple(coefficients)) if bends else None
