"""A sequence of meshes: numbered files in a folder, one for each time."""

import re
from itertools import pairwise
from pathlib import Path

from neuralfw.errors import UserError
from neuralfw.geometry.mesh_readers import MESH_READERS

TRUTH = "truth"
"""Folder, in that of photographs made of meshes, for the meshes themselves: what a run is compared with."""


def find_meshes(source: Path) -> list[Path]:
    """Return the mesh that a path is, or the numbered ones in a folder, in the order of their numbers; [] if none.

    Raises:
        UserError: a folder of several meshes, of which some have no number or two have the same.
    """
    if source.is_file():
        return [source] if source.suffix.lower() in MESH_READERS else []
    files = sorted(p for p in source.iterdir() if p.suffix.lower() in MESH_READERS) if source.is_dir() else []
    numbers = {path: re.findall(r"\d+", path.stem) for path in files}
    if len(files) > 1:
        if bad := [path.name for path, found in numbers.items() if not found]:
            raise UserError(f"{source} holds {len(files)} meshes, but {bad[0]} has no number: a sequence is numbered.")
        at = {path: int(found[-1]) for path, found in numbers.items()}
        files.sort(key=at.__getitem__)
        if twice := next((b for a, b in pairwise(files) if at[a] == at[b]), None):
            raise UserError(f"{source}: two meshes have the number {at[twice]}, so their order is not known.")
    return files


def stamps(count: int) -> list[float]:
    """Return the times of so many meshes, evenly from 0 to 1; 0 of a single one."""
    return [index / max(1, count - 1) for index in range(count)]
