"""Makes the surface of a fluid from its particles: two blocks, and the one splash that they become.

python tools/make_double_dam.py PARTICLES OUT

PARTICLES holds two or more .vtk files, each the particles of a moment, such as splashsurf's `double_dam_break_frame_*`.
OUT has a numbered mesh for each: the level set of their density, a fifth of that at rest, so
that sheets of one particle's thickness stay whole (Müller et al. 2003).
Spray, bodies of fewer than 50 particles, is left out.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree
from torch import Tensor

from neuralfw.geometry import write_mesh
from neuralfw.meshing import extract

SPACING = 0.05  # of the particles at rest
REACH = 3.0 * SPACING  # of a particle's kernel
LEVEL = 0.2  # share of the density at rest
SPRAY = 50
RESOLUTION = 128


def read_particles(path: Path) -> np.ndarray:
    """Return the points (n, 3) of a legacy binary VTK file."""
    content = path.read_bytes()
    begin = content.index(b"POINTS")
    end = content.index(b"\n", begin)
    count, kind = content[begin:end].split()[1:]
    if kind != b"float":
        sys.exit(f"{path}: points of type {kind.decode()}, not float")
    return np.frombuffer(content, ">f4", 3 * int(count), end + 1).reshape(-1, 3).astype(np.float64)


def without_spray(points: np.ndarray) -> np.ndarray:
    """Return those of bodies with at least so many particles, whose neighbours are within one and a half spacings."""
    near = KDTree(points).sparse_distance_matrix(KDTree(points), 1.5 * SPACING)
    body = connected_components(near, directed=False)[1]
    kept: np.ndarray = points[np.bincount(body)[body] >= SPRAY]
    return kept


def kernel(distance: np.ndarray) -> np.ndarray:
    """(1 - (r/h)²)³ within the reach h, 0 beyond."""
    weight: np.ndarray = np.clip(1.0 - (distance / REACH) ** 2, 0.0, None) ** 3
    return weight


def density_at_rest() -> float:
    """Return the sum of kernels in the middle of a cubic lattice."""
    steps = SPACING * np.arange(-4, 5)
    lattice = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    return float(kernel(np.linalg.norm(lattice, axis=1)).sum())


def write_surface(path: Path, points: np.ndarray) -> None:
    """Write the level set of the particles' density."""
    tree, rest = KDTree(points), density_at_rest()

    def lack(x: Tensor) -> Tensor:
        distance = np.asarray(tree.query(x.numpy(), k=160, distance_upper_bound=REACH)[0])
        return torch.from_numpy(LEVEL - kernel(distance).sum(axis=1) / rest).to(x.dtype)

    bounds = (points.min(axis=0) - REACH, points.max(axis=0) + REACH)
    found = extract(lack, (bounds[0].tolist(), bounds[1].tolist()), RESOLUTION, method="dense")
    write_mesh(path, found.vertices, found.faces)


def main() -> None:
    """Write a mesh for each file of particles."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    files = sorted(folder.glob("*.vtk"))
    if len(files) < 2:
        sys.exit(f"{folder} must hold two .vtk files at least")
    for index, path in enumerate(files):
        write_surface(out / f"{index:04d}.ply", without_spray(read_particles(path)))


if __name__ == "__main__":
    main()
