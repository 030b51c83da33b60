"""Make sequences of meshes that change their topology, exact to the grid: `python tools/make_sequences.py OUT`.

OUT/two_spheres/: two spheres that merge and part again, at 9 times.
OUT/breaking_sphere/: a sphere that breaks into eight, at 9 times.
"""

import math
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

from torch import Tensor

from neuralfw.geometry import write_mesh
from neuralfw.meshing import extract

TIMES = 9
RESOLUTION = 96
Distance = Callable[[Tensor, float], Tensor]


def two_spheres(x: Tensor, t: float) -> Tensor:
    """Radius 0.35; the centres come from ±0.5 on the x axis to ±0.15 and go back."""
    shift = 0.325 + 0.175 * math.cos(2.0 * math.pi * t)
    centers = x.new_tensor([[shift, 0.0, 0.0], [-shift, 0.0, 0.0]])
    return (x[:, None] - centers).norm(dim=2).amin(dim=1) - 0.35


def breaking_sphere(x: Tensor, t: float) -> Tensor:
    """Eight spheres from the origin to the corners of a cube, where they have the first one's volume together."""
    centers = 0.45 * t * x.new_tensor([*product((-1.0, 1.0), repeat=3)])
    radius = 0.6 * (1.0 - t) + 0.3 * t
    return (x[:, None] - centers).norm(dim=2).amin(dim=1) - radius


def make(folder: Path, distance: Distance) -> None:
    """Write the zero level set at evenly spaced times."""
    for index in range(TIMES):
        t = index / (TIMES - 1)
        found = extract(lambda x, t=t: distance(x, t), ([-1.0] * 3, [1.0] * 3), RESOLUTION)  # type: ignore[misc]
        write_mesh(folder / f"{index:04d}.ply", found.vertices, found.faces)


if __name__ == "__main__":
    for name, sequence in (("two_spheres", two_spheres), ("breaking_sphere", breaking_sphere)):
        make(Path(sys.argv[1]) / name, sequence)
