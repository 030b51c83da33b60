"""Folders as the authors' preprocessing takes them become recipes, one for each pair of shapes.

`matching`: a folder `off` of meshes, and for pairs X, Y files `X-Y_p2p.npy` whose entry j is the vertex of X, counted
from 1, that corresponds to vertex j of Y. `template`: a folder `off` of meshes of one vertex order, and no such file.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from neuralfw.errors import UserError
from neuralfw.geometry import read_mesh
from neuralfw.geometry.files import new_folder, write_file
from neuralfw.recipe.toml_writer import dumps

from .matches import read_map
from .sequence import natural

MESHES, ENDING = "off", "_p2p.npy"
ENDINGS = (".off", ".ply")


def is_official(source: Path) -> bool:
    """Say whether a path is such a folder."""
    return source.is_dir() and bool(shapes(source / MESHES))


def shapes(folder: Path) -> dict[str, Path]:
    """Return the meshes of a folder by name, in the order in which the authors number them; `.off` before `.ply`."""
    files = [file for ending in reversed(ENDINGS) for file in folder.glob(f"*{ending}")]
    return dict(sorted({file.stem: file for file in files}.items(), key=lambda item: natural(item[0])))


def convert(source: Path, target: Path) -> list[str]:
    """Write a recipe for each pair, and pairs.txt with the numbers of their shapes; return notes.

    Raises:
        UserError: a file is damaged, a pair names a mesh that is not there, or there is no pair.
    """
    new_folder(target)
    found = shapes(source / MESHES)
    maps = sorted(source.rglob(f"*{ENDING}"), key=lambda file: natural(file.name))
    pairs = [*_matching(maps, found, source, target)] if maps else [*_template(found)]
    if not pairs:
        raise UserError(f"{source / MESHES} holds one mesh, but a pair was expected")
    index, notes = {name: k for k, name in enumerate(found)}, []
    lines = []
    for name, (x, y), data, more in pairs:
        recipe = {"name": name, "extends": "velocity", "data": {"pair": data}}
        write_file(target / f"{name}.toml", dumps(recipe).encode())
        lines.append(f"{index.get(x, x)} {index.get(y, y)} {name}.toml")
        notes += more
    write_file(target / "pairs.txt", ("\n".join(lines) + "\n").encode())
    return [f"{len(pairs)} pairs of {len(found)} shapes", *notes]


Pair = tuple[str, tuple[str, str], dict[str, Any], list[str]]
"""Name, the names of both shapes, the options of the pair, and notes."""


def _template(found: dict[str, Path]) -> Iterator[Pair]:
    for x, y in permutations(found, 2):
        yield f"{x}-{y}", (x, y), {"source": str(found[x].resolve()), "target": str(found[y].resolve())}, []


def _matching(maps: list[Path], found: dict[str, Path], source: Path, target: Path) -> Iterator[Pair]:
    for file in maps:
        name = file.name.removesuffix(ENDING)
        (x, source_mesh), (y, target_mesh) = _named(name, found, source, file)
        rows, notes = _cleaned(file, source_mesh, target_mesh)
        write_file(target / f"{name}.map", "".join(f"{row}\n" for row in rows).encode())
        data = {
            "source": str(source_mesh.resolve()),
            "target": str(target_mesh.resolve()),
            "matches": "file",
            "correspondence": f"{name}.map",
            "direction": "target_to_source",
            "align": "similarity",
        }
        yield name, (x, y), data, notes


def _named(name: str, found: dict[str, Path], source: Path, file: Path) -> tuple[tuple[str, Path], tuple[str, Path]]:
    """Return the meshes that a file of matches is about; the first may be the full shape of a cut (SHREC'16)."""
    full = shapes(source.parent / "null" / MESHES)
    parts = name.split("-")
    for k in range(1, len(parts)):
        x, y = "-".join(parts[:k]), "-".join(parts[k:])
        if y in found and (mesh := found.get(x, full.get(x))) is not None:
            return (x, mesh), (y, found[y])
    raise UserError(
        f"{file}: its name says neither of which two meshes it is about; X-Y{ENDING} was expected, with X and Y among "
        f"{', '.join(found)}"
    )


def _cleaned(file: Path, source: Path, target: Path) -> tuple[Int64[np.ndarray, "n"], list[str]]:
    """Return for each vertex of the target that of the source, from 0, or -1; as the authors read such files."""
    count, most = len(read_mesh(target).vertices), len(read_mesh(source).vertices)
    index = read_map(file)[:count] - 1
    if len(index) < count:
        raise UserError(f"{file} has {len(index):,} entries, but {target.name} has {count:,} vertices: one for each")
    outside = (index < 0) | (index >= most)
    notes = (
        [f"{file.name}: {outside.sum():,} entries name no vertex of {source.name}: left out"] if outside.any() else []
    )
    return np.where(outside, -1, index), notes
