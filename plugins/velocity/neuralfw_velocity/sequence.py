"""A folder of shapes as pairs, each shape with the one after it."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from neuralfw.errors import UserError

from .config import PairingConfig, ShapePairConfig, ShapeSequenceConfig

SHAPES = (".ply", ".obj", ".off", ".stl", ".pcd", ".xyz", ".pts")
MAPS = (".npy", ".txt", ".map")


def pairs_of(config: PairingConfig) -> list[ShapePairConfig]:
    """Return the pairs that options mean: the one of `shape_pair`, or each shape of a sequence with the next.

    Raises:
        UserError: a folder is absent or holds too few shapes, or not one file of matches for each pair.
    """
    if isinstance(config, ShapePairConfig):
        return [config]
    assert isinstance(config, ShapeSequenceConfig)
    last = None if config.count is None else config.first + config.every * config.count
    chosen = ordered(config.path, SHAPES)[config.first : last : config.every]
    if len(chosen) < (config.count or 2):
        raise UserError(
            f"{config.path} gives {len(chosen)} shapes from first = {config.first} by every = {config.every}, but "
            f"{config.count or 'two or more'} were expected"
        )
    maps: list[Path | None] = [None] * (len(chosen) - 1)
    if config.correspondence is not None:
        maps = [*ordered(config.correspondence, MAPS)]
    if len(maps) != len(chosen) - 1:
        raise UserError(
            f"{config.correspondence} holds {len(maps)} files of matches ({' '.join(MAPS)}), but {len(chosen)} shapes "
            f"make {len(chosen) - 1} pairs: one for each was expected"
        )
    common = {name: getattr(config, name) for name in PairingConfig.model_fields}
    ends = zip(pairwise(chosen), maps, strict=True)
    return [ShapePairConfig(**common | {"source": a, "target": b, "correspondence": file}) for (a, b), file in ends]


def ordered(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """Return the files of a folder with these endings, numbers in their names by value.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder")
    files = [file for file in folder.iterdir() if file.suffix.lower() in endings]
    return sorted(files, key=lambda file: natural(file.name))


def natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts the numbers in names by their value."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name) if part]
