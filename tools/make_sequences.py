"""Make sequences of meshes whose distances are known: `python tools/make_sequences.py OUT`.

OUT/two_spheres/: two spheres that merge and part again.
OUT/breaking_sphere/: a sphere that breaks into eight.
OUT/merging_blobs/: three metaballs that run together.
OUT/growing_holes/: a ball that gets one hole, then two.
OUT/several/: a ball, a box and a torus, each on its own way.

Each has the surface at 9 times, 0000.ply to 0008.ply. With `--every 2` OUT/two_spheres_every_2/ has every other of
them besides, to train on; with `--distances 100000` so many samples of the exact distance lie beside each mesh, as
DeepSDF keeps them (.npz with pos and neg, rows x y z sdf): only of two_spheres, where it is exact everywhere.
"""

import argparse
import math
from collections.abc import Callable
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

from neuralfw.geometry import write_mesh
from neuralfw.geometry.files import write_file
from neuralfw.geometry.writers import encode_npz
from neuralfw.meshing import extract

TIMES = 9
RESOLUTION = 96
NEAR = 0.1
"""Standard deviation about the surface of half of the distance samples."""

Distance = Callable[[Tensor, float], Tensor]


def two_spheres(x: Tensor, t: float) -> Tensor:
    """Radius 0.35; the centres come from ±0.5 on the x axis to ±0.15 and go back. The exact distance to their union.

    Inside, where the nearest point of either sphere is hidden in the other, the nearest of the union lies on the
    circle in which they meet.
    """
    shift, radius = 0.325 + 0.175 * math.cos(2.0 * math.pi * t), 0.35
    along, across = x[:, 0].abs(), x[:, 1:].norm(dim=1)
    distance: Tensor = (along - shift).hypot(across) - radius
    if shift >= radius:
        return distance
    meet = math.sqrt(radius**2 - shift**2)
    hidden = (distance < 0.0) & (across * shift < meet * (shift - along))
    return torch.where(hidden, -along.hypot(across - meet), distance)


def breaking_sphere(x: Tensor, t: float) -> Tensor:
    """Eight spheres from the origin to the corners of a cube, where they have the first one's volume together."""
    centers = 0.45 * t * x.new_tensor([*product((-1.0, 1.0), repeat=3)])
    radius = 0.6 * (1.0 - t) + 0.3 * t
    distance: Tensor = (x[:, None] - centers).norm(dim=2).amin(dim=1) - radius
    return distance


def merging_blobs(x: Tensor, t: float) -> Tensor:
    """Three balls come from the corners of a triangle to its centre; their smooth union (exponential, width 0.05)."""
    turns = 2.0 * math.pi * torch.arange(3) / 3.0
    centers = (0.6 - 0.4 * t) * torch.stack([turns.cos(), turns.sin(), 0.0 * turns], dim=1).to(x)
    each: Tensor = (x[:, None] - centers).norm(dim=2) - 0.25
    return -0.05 * (-each / 0.05).logsumexp(dim=1)


def growing_holes(x: Tensor, t: float) -> Tensor:
    """A flat slab with a rounded rim, in which a hole grows, then another: genus 0, 1, 2."""
    flat = torch.stack([(x[:, :2] / x.new_tensor([1.6, 1.0])).norm(dim=1) - 0.5, x[:, 2].abs() - 0.18], dim=1)
    slab: Tensor = flat.clamp_min(0.0).norm(dim=1) + flat.amax(dim=1).clamp_max(0.0) - 0.05
    for begin, center in ((0.125, -0.38), (0.5, 0.38)):
        radius = 0.28 * min(1.0, max(0.0, (t - begin) / 0.5))
        hole = (x[:, :2] - x.new_tensor([center, 0.0])).norm(dim=1)
        slab = torch.maximum(slab, radius - hole) if radius > 0.0 else slab
    return slab


def several(x: Tensor, t: float) -> Tensor:
    """A ball rises, a box turns about the z axis, a torus tips over."""
    ball = (x - x.new_tensor([-0.6, 0.0, 0.5 * t - 0.25])).norm(dim=1) - 0.25
    turned = _turned(x, 0, 1, 0.5 * math.pi * t)
    outside = turned.abs() - 0.2
    box = outside.clamp_min(0.0).norm(dim=1) + outside.amax(dim=1).clamp_max(0.0)
    tipped = _turned(x - x.new_tensor([0.62, 0.0, 0.0]), 1, 2, 0.5 * math.pi * t)
    torus = (tipped[:, :2].norm(dim=1) - 0.2).hypot(tipped[:, 2]) - 0.08
    return torch.stack([ball, box, torus]).amin(dim=0)


def _turned(x: Tensor, first: int, second: int, angle: float) -> Tensor:
    """Turn points in the plane of two axes."""
    out, cosine, sine = x.clone(), math.cos(angle), math.sin(angle)
    out[:, first] = cosine * x[:, first] + sine * x[:, second]
    out[:, second] = cosine * x[:, second] - sine * x[:, first]
    return out


SEQUENCES: dict[str, Distance] = {
    f.__name__: f for f in (two_spheres, breaking_sphere, merging_blobs, growing_holes, several)
}


def make(folder: Path, distance: Distance, *, every: int = 1, samples: int = 0) -> None:
    """Write the zero level set at every so many of the times, and samples of the distance."""
    random = torch.Generator().manual_seed(0)
    for index in range(0, TIMES, every):
        t = index / (TIMES - 1)
        found = extract(lambda x, t=t: distance(x, t), ([-1.0] * 3, [1.0] * 3), RESOLUTION)  # type: ignore[misc]
        write_mesh(folder / f"{index:04d}.ply", found.vertices, found.faces)
        if samples:
            vertices = torch.from_numpy(found.vertices).float()
            near = vertices[torch.randint(len(vertices), (samples // 2,), generator=random)]
            near = near + NEAR * torch.randn(near.shape, generator=random)
            x = torch.cat([near, 2.0 * torch.rand(samples - len(near), 3, generator=random) - 1.0])
            value = distance(x, t)
            rows = torch.cat([x, value[:, None]], dim=1).numpy()
            halves = {"pos": rows[rows[:, 3] >= 0.0], "neg": rows[rows[:, 3] < 0.0]}
            write_file(folder / f"{index:04d}.npz", encode_npz(halves))


def main() -> None:
    """Make all sequences, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=SEQUENCES, nargs="+", default=[*SEQUENCES])
    parser.add_argument("--every", type=int, default=1, help="also write every how many-th time, to train on")
    parser.add_argument("--distances", type=int, default=0, help="samples of the exact distance, of two_spheres")
    arguments = parser.parse_args()
    for name in arguments.only:
        samples = arguments.distances if name == "two_spheres" else 0
        make(arguments.folder / name, SEQUENCES[name], samples=samples)
        if arguments.every > 1:
            make(arguments.folder / f"{name}_every_{arguments.every}", SEQUENCES[name], every=arguments.every)


if __name__ == "__main__":
    main()
