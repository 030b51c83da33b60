"""Make shapes along motions that are known exactly, and a pair that comes apart: `python tools/make_flows.py OUT`.

OUT/translation, rotation, turn60, twist/: an ellipsoid of 10,242 vertices at the times 0, 0.25, 0.5, 0.75 and 1.
OUT/enright/: the sphere of Enright's test, 40,962 vertices, at the same times (his time is three times ours).
OUT/torus/: a torus, the two bodies that it becomes, and matches.txt: for each vertex of the bodies one of the torus.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import trimesh
from scipy.spatial import cKDTree

from neuralfw.components import Integrator
from neuralfw.geometry import write_mesh
from neuralfw.meshing import extract
from neuralfw.testing import build_component
from neuralfw_velocity.flows import enright

TIMES = (0.0, 0.25, 0.5, 0.75, 1.0)
TWIST = np.pi / 0.6
"""Radians for each unit of z: the ends of the ellipsoid turn by a quarter, against each other by a half."""
RING, TUBE, APART = 0.5, 0.18, 0.15
"""Radii of the torus, and how far each of the two bodies moves away from the other."""
ARC, KEPT, SEAM = np.radians([60.0, 75.0, 90.0])
"""Half a body's arc; the half arc of the torus that becomes its side; and that which becomes the side and its caps."""

Motion = Callable[[np.ndarray, float], np.ndarray]


def turned(x: np.ndarray, angle: np.ndarray | float) -> np.ndarray:
    """Turn points about the z axis."""
    s, c = np.sin(angle), np.cos(angle)
    return np.stack([c * x[:, 0] - s * x[:, 1], s * x[:, 0] + c * x[:, 1], x[:, 2]], axis=1)


MOTIONS: dict[str, Motion] = {
    "translation": lambda x, t: x + np.array([0.4 * t, 0.0, 0.0]),
    "rotation": lambda x, t: turned(x, 0.5 * np.pi * t),
    "turn60": lambda x, t: turned(x, np.pi / 3.0 * t),
    "twist": lambda x, t: turned(x, TWIST * t * x[:, 2]),
}


def stretched(x: np.ndarray, t: float) -> np.ndarray:
    """Carry points along Enright's flow, by steps of fourth order in double precision."""
    carry: Integrator = build_component("integrator", "rk4", {"steps": 960})
    return carry(lambda y, s: 3.0 * enright(y, s), torch.from_numpy(x), 0.0, t).end.numpy()


def write_motion(folder: Path, vertices: np.ndarray, faces: np.ndarray, motion: Motion) -> None:
    """Write a mesh at the times, in one vertex order."""
    for t in TIMES:
        write_mesh(folder / f"{t:.2f}.ply", motion(vertices, t) if t else vertices, faces)


def bodies(x: torch.Tensor) -> torch.Tensor:
    """Return the distance to two bent capsules, left and right."""
    x = torch.stack([x[:, 0].abs() - APART, x[:, 1], x[:, 2]], dim=1)
    u = torch.atan2(x[:, 1], x[:, 0]).clamp(-ARC, ARC)
    off: torch.Tensor = x - RING * torch.stack([u.cos(), u.sin(), 0.0 * u], dim=1)
    distance: torch.Tensor = off.norm(dim=1) - TUBE
    return distance


def torus(x: torch.Tensor) -> torch.Tensor:
    """Return the distance to the torus."""
    return torch.hypot(x[:, :2].norm(dim=1) - RING, x[:, 2]) - TUBE


def on_torus(x: np.ndarray) -> np.ndarray:
    """Return where points of the bodies come from: their caps from the seams of the torus."""
    side = np.sign(x[:, :1])
    x = np.abs(x) * [1.0, 0.0, 0.0] + x * [0.0, 1.0, 1.0] - [APART, 0.0, 0.0]
    u = np.clip(np.arctan2(x[:, 1], x[:, 0]), -ARC, ARC)
    out, ahead = (np.stack(axis, axis=1) for axis in ([np.cos(u), np.sin(u)], [-np.sin(u), np.cos(u)]))
    off = x[:, :2] - RING * out
    beyond = (off * ahead).sum(axis=1) / TUBE * (np.abs(u) > ARC - 1e-9)
    tube = np.arctan2(x[:, 2], (off * out).sum(axis=1))
    u = u * KEPT / ARC + (SEAM - KEPT) * np.clip(beyond, -1.0, 1.0)
    radius = RING + TUBE * np.cos(tube)
    return np.stack([side[:, 0] * radius * np.cos(u), radius * np.sin(u), TUBE * np.sin(tube)], axis=1)


def write_torus(folder: Path) -> None:
    """Write the pair that comes apart, and its matches."""
    box = ([-0.95, -0.8, -0.3], [0.95, 0.8, 0.3])
    whole, two = (extract(distance, box, 96) for distance in (torus, bodies))
    write_mesh(folder / "torus.ply", whole.vertices, whole.faces)
    write_mesh(folder / "bodies.ply", two.vertices, two.faces)
    found = cKDTree(whole.vertices).query(on_torus(two.vertices))[1]
    np.savetxt(folder / "matches.txt", found, fmt="%d")


def main(out: Path) -> None:
    """Write all shapes."""
    ball = trimesh.creation.icosphere(5)
    for name, motion in MOTIONS.items():
        write_motion(out / name, np.asarray(ball.vertices) * [0.3, 0.12, 0.3], np.asarray(ball.faces), motion)
    fine = trimesh.creation.icosphere(6, radius=0.15)
    write_motion(out / "enright", np.asarray(fine.vertices) + 0.35, np.asarray(fine.faces), stretched)
    write_torus(out / "torus")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
