"""Makes recipes/data/spot_turned.ply: Spot, twisted about its upright axis by a flow that keeps volumes.

python tools/make_turned_spot.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neuralfw.geometry import read_mesh, write_mesh

DATA = Path(__file__).resolve().parents[1] / "recipes/data"
TURN = np.radians(70.0)  # of the highest vertex against the lowest


def twisted(x: np.ndarray) -> np.ndarray:
    """Turn points about the y axis, the higher the farther."""
    low, high = x[:, 1].min(), x[:, 1].max()
    angle = TURN * ((x[:, 1] - low) / (high - low) - 0.5)
    s, c = np.sin(angle), np.cos(angle)
    return np.stack([c * x[:, 0] + s * x[:, 2], x[:, 1], c * x[:, 2] - s * x[:, 0]], axis=1)


if __name__ == "__main__":
    spot = read_mesh(DATA / "spot_mesh.ply")
    write_mesh(DATA / "spot_turned.ply", twisted(spot.vertices), spot.faces)
