"""Make the small shape that ships with the recipes: `python tools/make_shipped_data.py PATH/spot.obj`."""

import argparse
from pathlib import Path

import numpy as np

from neuralfw.geometry import read_mesh, sample_surface, write_mesh
from neuralfw.geometry.files import write_file
from neuralfw.geometry.ply import encode_ply

POINTS = 10_000
DATA = Path(__file__).resolve().parents[1] / "recipes" / "data"


def make(source: Path, folder: Path) -> None:
    """Write `spot_mesh.ply`, the mesh as it is, and `spot.ply`, points of it with face normals, to `folder`."""
    mesh = read_mesh(source)
    write_mesh(folder / "spot_mesh.ply", mesh.vertices, mesh.faces)
    points, normals = sample_surface(mesh, POINTS, np.random.default_rng(0))
    names = ("x", "y", "z", "nx", "ny", "nz")
    columns = np.column_stack([points, normals]).astype(np.float32)
    write_file(folder / "spot.ply", encode_ply(dict(zip(names, columns.T, strict=True))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="spot.obj")
    make(parser.parse_args().source, DATA)
