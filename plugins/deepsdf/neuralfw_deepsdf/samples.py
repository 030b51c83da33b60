"""Signed distances of several shapes: DeepSDF's sample files, or made on opening from meshes and point clouds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from neuralfw.components import Build, Data, Draw, Quantities
from neuralfw.data.batches import Epochs
from neuralfw.errors import UserError
from neuralfw.geometry import (
    POINT_CLOUD_ENDINGS,
    Frame,
    Mesh,
    clean,
    read_mesh,
    read_point_cloud,
    read_sdf_samples,
    sample_sdf,
    with_normals,
)
from neuralfw.geometry.archive import read_npz
from neuralfw.geometry.ply import read_ply

from .config import SdfSamplesConfig
from .labels import sample_sdf_of_points

RADIUS = 1 / 1.03
"""Of the sphere about a normalised shape."""


@dataclass(frozen=True)
class _Shape:
    """Samples (x, y, z, sdf) of one shape outside and inside, and the similarity from its world to theirs."""

    outside: Float[Tensor, "p 4"]
    inside: Float[Tensor, "q 4"]
    frame: Frame


class SdfSamples(Data):
    """Signed distances of a class of shapes, each in its own unit sphere; all are kept in memory.

    `path` is one file or a folder. DeepSDF's npz files hold arrays `pos` and `neg` with rows x, y, z, sdf; they are
    normalised already, and a file of the same name under `NormalizationParameters` says from where. Of a mesh, samples
    are drawn with their exact distances; of a cloud, with those to its points. A batch takes half of a shape's samples
    from outside and half from inside.
    """

    def __init__(self, config: SdfSamplesConfig, build: Build) -> None:
        super().__init__(config, build)
        root = config.path / "SdfSamples" if (config.path / "SdfSamples").is_dir() else config.path
        found = dict(_listed(root, config.split))
        seed = int(torch.randint(2**62, (), generator=build.generator))
        loaded = [_load(path, root, config, np.random.default_rng([seed, i])) for i, path in enumerate(found.values())]
        self._shapes = loaded
        self._epochs = Epochs(len(loaded))
        self.shapes = tuple(found)
        self.shape_frames = tuple(shape.frame for shape in loaded)
        self.bounds = torch.tensor([[-1.0] * 3, [1.0] * 3])
        total = sum(len(s.outside) + len(s.inside) for s in loaded)
        self.notes = (f"{total:,} samples of {len(loaded)} shapes from {config.path.name}",)

    def holds(self, set_name: str) -> bool:
        return set_name == "balanced"

    def batches(self, set_name: str, draw: Any) -> int:
        return self._epochs.batches(draw.items)

    def sample(self, request: Draw) -> Quantities:
        chosen = self._epochs.draw(request, request.options.items)
        count, generator = request.options.points, request.generator
        rows = torch.cat([_balanced(self._shapes[int(i)], count, generator) for i in chosen])
        return {"points": rows[:, :3], "sdf": rows[:, 3], "index": chosen.repeat_interleave(count)}


def _balanced(shape: _Shape, count: int, generator: torch.Generator) -> Float[Tensor, "n 4"]:
    """Draw half the samples from either side; a shape that has one side only gives all from there."""
    sides = [side for side in (shape.outside, shape.inside) if len(side)]
    sizes = [count] if len(sides) == 1 else [count - count // 2, count // 2]
    parts = [s[torch.randint(len(s), (n,), generator=generator)] for s, n in zip(sides, sizes, strict=True)]
    return torch.cat(parts)


def _listed(root: Path, split: Path | None) -> Iterator[tuple[str, Path]]:
    """Yield the name and file of each shape.

    Raises:
        UserError: the folder, the split or a file that it names is missing or malformed, or there are no shapes.
    """
    if root.is_file():
        yield root.stem, root
        return
    if not root.is_dir():
        raise UserError(
            f"{root} does not exist: sdf_samples opens a folder of npz files, meshes or clouds, or one file"
        )
    if split is not None:
        yield from ((name, _file_of(root, name)) for name in _instances(split))
        return
    files = sorted(p for p in root.rglob("*") if p.is_file() and p.suffix.lower() in POINT_CLOUD_ENDINGS)
    if not files:
        raise UserError(f"{root} holds no npz file, mesh or point cloud")
    for file in files:
        yield file.relative_to(root).with_suffix("").as_posix(), file


def _instances(split: Path) -> list[str]:
    try:
        tree = json.loads(split.read_text(encoding="utf-8"))
        names = [f"{d}/{c}/{i}" for d, classes in tree.items() for c, found in classes.items() for i in found]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UserError(f"{split} is no split {{dataset: {{class: [instances]}}}}: {error}") from error
    if not names:
        raise UserError(f"{split} names no instances")
    return names


def _file_of(root: Path, name: str) -> Path:
    for ending in (".npz", *POINT_CLOUD_ENDINGS):
        if (file := root / f"{name}{ending}").is_file():
            return file
    raise UserError(f"the split names {name}, but {root / name}.npz does not exist")


def _load(path: Path, root: Path, config: SdfSamplesConfig, rng: np.random.Generator) -> _Shape:
    if path.suffix.lower() == ".npz":
        frame = _world_of(root.parent / "NormalizationParameters" / path.relative_to(root))
        samples = read_sdf_samples(path)
    elif _has_faces(path):
        mesh = read_mesh(path)
        frame = _frame(mesh.vertices, config)
        mesh = Mesh(frame.to_training(mesh.vertices), mesh.faces)
        samples = sample_sdf(mesh, config.samples, rng, variances=config.variances)
    else:
        cloud = with_normals(clean(read_point_cloud(path)))
        assert cloud.normals is not None
        frame = _frame(cloud.points, config)
        points, normals = frame.to_training(cloud.points), frame.directions_to_training(cloud.normals)
        samples = sample_sdf_of_points(points, normals, config.samples, rng, config.variances)
    return _Shape(torch.from_numpy(samples.pos), torch.from_numpy(samples.neg), frame)


def _has_faces(path: Path) -> bool:
    return path.suffix.lower() in (".obj", ".off", ".stl") or (
        path.suffix.lower() == ".ply" and len(read_ply(path).faces) > 0
    )


def _frame(points: Float64[np.ndarray, "n 3"], config: SdfSamplesConfig) -> Frame:
    return Frame.fit(points, "sphere", RADIUS) if config.normalize == "each" else Frame.identity()


def _world_of(file: Path) -> Frame:
    """Return the similarity that DeepSDF's preprocessing wrote down, normalised = scale · (x + offset), if it did."""
    if not file.is_file():
        return Frame.identity()
    arrays = read_npz(file)
    try:
        offset, scale = np.asarray(arrays["offset"], dtype=np.float64).reshape(3), float(arrays["scale"].reshape(()))
    except (KeyError, ValueError) as error:
        raise UserError(f"{file} must hold offset (3,) and scale: {error}") from error
    return Frame(center=-offset, scale=scale)
