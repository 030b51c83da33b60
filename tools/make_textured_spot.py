"""Makes a cow with a texture that turns and bends, as coloured meshes at 5 times.

python tools/make_textured_spot.py OUT
neuralfw data convert OUT PHOTOGRAPHS
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import trimesh

from neuralfw.geometry import read_mesh, write_mesh

SPOT = Path(__file__).resolve().parents[1] / "recipes/data/spot_mesh.ply"
TIMES = 5
TURN = np.radians(60.0)  # of the whole, from first to last
BEND = np.radians(50.0)  # of what lies one unit in front of the middle, against it


def texture(x: np.ndarray) -> np.ndarray:
    """RGB of material points: brown patches on a cream that turns blue towards the feet."""
    patches = np.sin(7.0 * x[:, 0] + 2.0 * np.sin(4.0 * x[:, 1])) * np.cos(6.0 * x[:, 2] - 1.0) + 0.5 * np.sin(
        9.0 * x[:, 1]
    )
    share = (1.0 / (1.0 + np.exp(-8.0 * patches)))[:, None]
    height = ((x[:, 1] - x[:, 1].min()) / np.ptp(x[:, 1]))[:, None]
    coat = height * np.array([0.95, 0.85, 0.65]) + (1.0 - height) * np.array([0.25, 0.45, 0.9])
    colors: np.ndarray = share * coat + (1.0 - share) * np.array([0.5, 0.2, 0.12])
    return colors


def moved(x: np.ndarray, t: float) -> np.ndarray:
    """Turn points about the upright y axis, those farther to the front the more."""
    angle = t * (TURN + BEND * x[:, 2])
    s, c = np.sin(angle), np.cos(angle)
    return np.stack([c * x[:, 0] + s * x[:, 2], x[:, 1], c * x[:, 2] - s * x[:, 0]], axis=1)


if __name__ == "__main__":
    spot = read_mesh(SPOT)
    vertices, faces = trimesh.remesh.subdivide(spot.vertices, spot.faces)
    for index in range(TIMES):
        t = index / (TIMES - 1)
        write_mesh(Path(sys.argv[1]) / f"{index:04d}.ply", moved(vertices, t), faces, colors=texture(vertices))
