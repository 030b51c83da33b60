"""Memory of a step of the published N4DE: its grid of 65 million parameters, from the images of the two spheres.

python benchmarks/n4de_memory.py [--resolution N] [--steps N]

Steps of both stages of `n4de_paper` as it stands, but for their number and for the start, an exact sphere, so that the
surface has its size from the first step. Printed is the peak of the resident memory, Python and PyTorch included, after
each stage.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from pathlib import Path

import torch

from neuralfw.session import train


def peak() -> float:
    """Return the most memory that this process had, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Print the peak before, and after some steps of each stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolution", type=int, default=200, help="cells along the surface's cube")
    parser.add_argument("--views", type=int, default=20, help="images of a step; of those that ship there are 20")
    parser.add_argument("--steps", type=int, default=2, help="of each stage")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"libraries            {peak():.2f} GiB")
    overrides = [
        "fields.sdf.start=sphere", f"renderers.main.resolution={arguments.resolution}",
        f"stages.evolve.passes.views.views={arguments.views}", "stages.evolve.train.sdf.lr=1e-6",
        "stages.sphere_init.train.sdf.lr=1e-6", "export.mesher.resolution=24", "evaluate.views=false",
        "checkpoint.every=0", "log.tensorboard=false",
    ]  # fmt: skip
    for stages, steps in (("sphere_init", (arguments.steps, 0)), ("both stages", (arguments.steps, arguments.steps))):
        lengths = [f"stages.{name}.steps={n}" for name, n in zip(("sphere_init", "evolve"), steps, strict=True)]
        with tempfile.TemporaryDirectory() as folder:
            train("n4de_paper", [*overrides, *lengths], out=Path(folder) / "run")
        print(f"{stages:20s} {peak():.2f} GiB")


if __name__ == "__main__":
    main()
