"""Nearest neighbours both ways between two samplings of one surface, against SciPy's tree queried as points come.

    python benchmarks/nearest.py [--quick] [MESH]

Rounds are interleaved in one process, both sides use all threads and build their trees; a torus is taken without MESH.
Processor time says more than wall time on a machine that others use.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import trimesh
from scipy.spatial import cKDTree

from neuralfw.geometry import Mesh, read_mesh, sample_surface
from neuralfw.metrics import nearest_both_ways


def plain(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return cKDTree(b).query(a, workers=-1)[0], cKDTree(a).query(b, workers=-1)[0]


def ours(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    to_b, to_a = nearest_both_ways(a, b)
    return to_b.distance, to_a.distance


def timed(compute: Callable[[np.ndarray, np.ndarray], object], a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    compute(a, b)
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mesh", nargs="?")
    parser.add_argument("--quick", action="store_true", help="100,000 points only")
    arguments = parser.parse_args()
    if arguments.mesh:
        mesh = read_mesh(arguments.mesh)
    else:
        torus = trimesh.creation.torus(1.0, 0.4, major_sections=256, minor_sections=128)
        mesh = Mesh(np.array(torus.vertices), np.array(torus.faces))
    for count in (100_000,) if arguments.quick else (100_000, 200_000, 1_000_000):
        a, b = (sample_surface(mesh, count, np.random.default_rng(seed))[0] for seed in (0, 1))
        equal = all(np.array_equal(x, y) for x, y in zip(plain(a, b), ours(a, b), strict=True))
        rounds = [(timed(plain, a, b), timed(ours, a, b)) for _ in range(3 if count > 500_000 else 7)]
        print(f"{count} points a side, equal distances: {equal}")
        for kind, label in enumerate(("wall", "processor")):
            theirs, own = (statistics.median(r[side][kind] for r in rounds) for side in (0, 1))
            ratio = statistics.median(r[0][kind] / r[1][kind] for r in rounds)
            print(f"  {label:9} cKDTree {theirs:.3f} s, ours {own:.3f} s: {ratio:.2f} times faster")


if __name__ == "__main__":
    main()
