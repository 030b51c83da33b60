"""Pairs of shapes with known motions, as files and as recipes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import trimesh

from neuralfw.geometry import write_mesh

HEAD = """
log = { every = 1, tensorboard = false, report = false }

[frame]
fit = "area"

[renderers.advect]
type       = "advect"
integrator = { type = "midpoint", steps = 4 }
along      = "one"
"""
"""What the recipes of small velocities have in common."""

PAIR = """
[data.pair]
type   = "shape_pair"
source = "{source}"
target = "{target}"
{more}

[fields.velocity]
type   = "mlp_velocity"
width  = 32
layers = 2

[[stages]]
name   = "velocity"
steps  = {steps}
train  = {{ velocity = {{ lr = 1e-2 }} }}
passes = {{ paths = {{ data = "pair.matches", renderer = "advect", batch = 256 }} }}
losses = [
  {{ type = "matching", on = "paths", weight = 100.0 }},
  {{ type = "divergence", on = "paths", weight = 0.01 }},
]
"""


def ball() -> tuple[np.ndarray, np.ndarray]:
    """An ellipsoid of 642 vertices, its axes 2, 3 and 4."""
    sphere = trimesh.creation.icosphere(3)
    return np.asarray(sphere.vertices) * [1.0, 1.5, 2.0] + [5.0, 0.0, 1.0], np.asarray(sphere.faces)


def turned(x: np.ndarray) -> np.ndarray:
    """Turn by 40° about an axis through (5, 0, 1), and shift."""
    s, c = np.sin(np.radians(40.0)), np.cos(np.radians(40.0))
    return (x - [5.0, 0.0, 1.0]) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T + [5.2, 0.1, 1.0]


def write_pair(folder: Path, move: Callable[[np.ndarray], np.ndarray] = turned) -> tuple[Path, Path]:
    vertices, faces = ball()
    paths = folder / "a.ply", folder / "b.ply"
    write_mesh(paths[0], vertices, faces)
    write_mesh(paths[1], move(vertices), faces)
    return paths


def write_recipe(folder: Path, source: Path, target: Path, *, more: str = "", steps: int = 2) -> Path:
    path = folder / "pair.toml"
    path.write_text(HEAD + PAIR.format(source=source, target=target, more=more, steps=steps), encoding="utf-8")
    return path
