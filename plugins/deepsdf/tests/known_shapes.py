"""Small clouds with known surfaces, and what the fixtures of these tests give."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

from neuralfw.run import Run
from neuralfw.scene import Scene

Build = Callable[..., Scene]
Train = Callable[..., Run]

RADIUS, TUBE = 0.7, 0.25


def sphere_points(count: int, seed: int = 0) -> Float64[np.ndarray, "n 6"]:
    """Points and normals of the unit sphere."""
    directions = np.random.default_rng(seed).normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return np.hstack([directions, directions])


def torus_points(count: int, seed: int = 0) -> Float64[np.ndarray, "n 6"]:
    """Points and normals of a torus about z."""
    around, along = np.random.default_rng(seed).uniform(0.0, 2.0 * np.pi, (2, count))
    ring = np.stack([np.cos(along), np.sin(along), np.zeros(count)], axis=1)
    normals = ring * np.cos(around)[:, None] + np.array([0.0, 0.0, 1.0]) * np.sin(around)[:, None]
    return np.hstack([RADIUS * ring + TUBE * normals, normals])


def torus_distance(x: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n"]:
    """The signed distance to that torus."""
    return np.hypot(np.hypot(x[:, 0], x[:, 1]) - RADIUS, x[:, 2]) - TUBE
