"""Sparse against dense meshing of one network in one process, and the memory of a sparse mesh at 512 cells a side.

    python benchmarks/meshing.py             # 256 cells a side, about four minutes on two idle cores
    python benchmarks/meshing.py --quick     # 96 and 128 cells a side

Both ways use the same network (8 layers of 256, softplus), the same chunks and the same threads; the sparse one is run
before and after the dense one. Processor time says more than wall time on a machine that others use.
"""

import argparse
import resource
import time

import numpy as np
import torch

from neuralfw.meshing import Surface, extract
from neuralfw.nn.mlp import Mlp

BOX = ((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))


def network() -> torch.nn.Module:
    """Near the distance to a sphere of radius 0.6, with noise in its weights, as a network after training is."""
    generator = torch.Generator().manual_seed(0)
    net = Mlp(3, 1, width=256, layers=8, skip=(4,), activation="softplus")
    net.geometric_init(0.6)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.003 * torch.randn(parameter.shape, generator=generator)
    return net


def timed(net: torch.nn.Module, resolution: int, method: str) -> tuple[Surface, np.ndarray]:
    """The mesh, with the seconds it took by the clock and of the processor."""
    start = np.array([time.perf_counter(), time.process_time()])
    surface = extract(lambda points: net(points)[:, 0], BOX, resolution, method=method)
    return surface, np.array([time.perf_counter(), time.process_time()]) - start


def compare(net: torch.nn.Module, resolution: int) -> None:
    _, first = timed(net, resolution, "sparse")
    dense, dense_seconds = timed(net, resolution, "dense")
    sparse, second = timed(net, resolution, "sparse")
    share = sparse.stats.evaluations / sparse.stats.nodes
    same = np.array_equal(sparse.faces, dense.faces)
    print(f"at {sparse.stats.cells}: {len(dense.faces)} faces dense, {len(sparse.faces)} sparse, equal: {same}")
    if same:
        print(f"  vertices differ by at most {np.abs(sparse.vertices - dense.vertices).max():.1e}")
    print(f"  sparse evaluates {share:.2%} of the nodes, {1 / share:.0f} times fewer")
    for kind, label in enumerate(("wall", "processor")):
        times = dense_seconds[kind], first[kind], second[kind]
        ratio = times[0] / np.mean(times[1:])
        print("  {:9} dense {:.1f} s, sparse {:.2f} and {:.2f} s: {:.1f} times faster".format(label, *times, ratio))


def memory(net: torch.nn.Module, resolution: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    surface, (wall, processor) = timed(net, resolution, "sparse")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"sparse at {surface.stats.cells}: {len(surface.faces)} faces, {wall:.1f} s ({processor:.1f} s of processor)")
    print(f"  peak memory of the process {peak:.2f} GiB ({before:.2f} before)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="96 and 128 cells a side instead of 256 and 512")
    quick = parser.parse_args().quick
    net = network()
    timed(net, 32, "sparse")
    compare(net, 96 if quick else 256)
    memory(net, 128 if quick else 512)


if __name__ == "__main__":
    main()
