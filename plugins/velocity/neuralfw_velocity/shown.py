"""What moves, to look at: the ways of points as lines, and a film of the carried mesh."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neuralfw.film.drawn import mesh_images, shown
from neuralfw.film.files import check_ending, write_frames
from neuralfw.film.shots import orbit_of
from neuralfw.geometry import Mesh
from neuralfw.geometry.files import write_file
from neuralfw.run import Run

FRAMES_PER_SECOND = 24
WHITE = (1.0, 1.0, 1.0)


def write_tracks(path: Path, moments: Sequence[Mesh], count: int) -> None:
    """Write the ways of `count` vertices, evenly far apart in the mesh's order, as lines of an OBJ file.

    Raises:
        UserError: the file cannot be written.
    """
    vertices = len(moments[0].vertices)
    chosen = np.unique(np.linspace(0, vertices - 1, min(count, vertices)).round().astype(int))
    ways = np.stack([mesh.vertices[chosen] for mesh in moments], axis=1)
    numbers = 1 + np.arange(ways[..., 0].size).reshape(ways.shape[:2])
    lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in ways.reshape(-1, 3)]
    lines += [f"l {' '.join(map(str, way))}" for way in numbers]
    write_file(path, ("\n".join(lines) + "\n").encode())


def write_film(path: Path, run: Run, moments: Sequence[Mesh]) -> list[Path]:
    """Write the moments, and the way back, as a film by a camera that stands still; return its files.

    Raises:
        UserError: the file cannot be written, or has another ending than .gif, .mp4 or .png.
    """
    check_ending(path)
    camera = orbit_of(run, 1)[0]
    frames = [shown(mesh_images(mesh, camera, WHITE), ("rgb",), camera, 0.0, 1.0) for mesh in moments]
    return write_frames(path, frames + frames[-2:0:-1], fps=FRAMES_PER_SECOND)
