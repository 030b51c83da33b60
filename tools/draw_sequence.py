"""Draw the surface of a run over time: `python tools/draw_sequence.py RUN OUT.gif`, or OUT.png for a strip.

All moments are seen from one place. In a strip a second row shows the meshes of `--truth FOLDER` at their moments.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from neuralfw.geometry import Mesh, read_mesh
from neuralfw.geometry.mesh_sequence import find_meshes
from neuralfw.picture import draw
from neuralfw.run import Run

MILLISECONDS = 120


def pictures(meshes: Sequence[Mesh], size: int, azimuth: float) -> list[UInt8[np.ndarray, "h w 3"]]:
    """Return a picture of each mesh, drawn as parts of the box around all: its corners are vertices of no face."""
    everything = np.concatenate([mesh.vertices for mesh in meshes])
    corners = np.stack([everything.min(axis=0), everything.max(axis=0)])
    return [draw(Mesh(np.concatenate([mesh.vertices, corners]), mesh.faces), size, azimuth) for mesh in meshes]


def main() -> None:
    """Extract the moments and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=9, help="moments, evenly from 0 to 1")
    parser.add_argument("--truth", type=Path, help="folder of as many meshes")
    parser.add_argument("--size", type=int, default=160, help="pixels along an edge of one picture")
    parser.add_argument("--resolution", type=int, default=96)
    parser.add_argument("--azimuth", type=float, default=35.0, help="degrees")
    arguments = parser.parse_args()
    run = Run(arguments.run)
    meshes = [run.mesh(t=t, resolution=arguments.resolution) for t in np.linspace(0.0, 1.0, arguments.count).tolist()]
    if arguments.truth is not None:
        meshes += [read_mesh(path) for path in find_meshes(arguments.truth)]
    drawn = pictures(meshes, arguments.size, arguments.azimuth)
    if arguments.out.suffix == ".gif":
        first, *rest = [Image.fromarray(picture).quantize(64) for picture in drawn]
        first.save(arguments.out, save_all=True, append_images=rest, duration=MILLISECONDS, loop=0, optimize=True)
    else:
        count = arguments.count
        rows = [np.concatenate(drawn[k : k + count], axis=1) for k in range(0, len(drawn), count)]
        Image.fromarray(np.concatenate(rows, axis=0)).save(arguments.out, optimize=True)


if __name__ == "__main__":
    main()
