"""A mesh carried by the velocity of a run: written at any times, with its faces as they are, and measured."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from neuralfw.carrying import carried
from neuralfw.errors import UserError
from neuralfw.geometry import Mesh, read_mesh, write_mesh
from neuralfw.geometry.glb import write_animation
from neuralfw.picture import save_picture
from neuralfw.run import Run
from neuralfw.strict_json import dumps
from neuralfw.suggest import nearest

from .config import PairingConfig
from .measures import MOMENTS, against_target, area_deviation, between_ends, half_area, kept
from .pair import Pair
from .shapes import ShapePairs
from .shown import write_film, write_tracks
from .textured import is_textured, write_moved

FRAMES = 24
"""Moments of an animation after its first, for each pair; between two of them vertices move on straight lines."""


@dataclass(frozen=True)
class Asked:
    """What `deform` is to write.

    Attributes:
        times: when meshes are written, in [0, 1].
        shape: name of the pair of a sequence; else every one.
        mesh: a mesh in the source's place at time 0, instead of the source.
        between: true frames between the ends.
        world: whose world the meshes are written in, where the target was laid onto the source.
        tracks: how many vertices' ways are written as lines.
        film, animation: files of these.
    """

    times: Sequence[float]
    shape: str | None = None
    mesh: Path | None = None
    between: Sequence[Path] = ()
    world: Literal["source", "target"] = "source"
    tracks: int = 0
    film: Path | None = None
    animation: Path | None = None


def deform(root: Path, asked: Asked) -> Iterator[str]:
    """Write the carried meshes to `deformed/` and the figures to `eval/deformation.json`; yield the files and figures.

    Of several pairs each source is carried to its own target, and a film or an animation shows them in turn.

    Raises:
        UserError: the run has no velocity, or no pair of shapes; or a file is not what it should be.
    """
    run = Run(root)
    pairs = pairs_of(run, asked.shape)
    if len(pairs) > 1 and (asked.mesh or asked.between):
        names = ", ".join(pair.name for pair in pairs)
        raise UserError(
            f"--mesh and --between are of one pair, but this run has several: name it by --shape, of {names}"
        )
    found, ways = list[dict[str, Any]](), list[list[Mesh]]()
    for pair in pairs:
        stem = (asked.mesh or Path("source" if asked.shape is None and len(pairs) == 1 else pair.name)).stem
        source = read_mesh(asked.mesh) if asked.mesh else pair.source
        if not isinstance(source, Mesh):
            raise UserError("the source is a point cloud, which has no faces to carry: give --mesh FILE")
        shown = yield from _written(run, pair, source, stem, asked)
        moments = carried(run, source, MOMENTS, pair.name)
        ways.append(moments)
        if asked.tracks:
            path = _folder(run) / ("tracks.obj" if len(pairs) == 1 else f"{stem}_tracks.obj")
            write_tracks(path, moments, asked.tracks)
            yield f"tracks: {path}"
        found.append({"pair": pair.name, "times": shown})
        if asked.mesh is None:
            found[-1] |= _figures(pair, moments, asked.between)
    yield from _moving(run, pairs, ways, asked)
    run.folder.eval.mkdir(exist_ok=True)
    text = dumps(found[0] if len(found) == 1 else {"pairs": found}, indent=2)
    (run.folder.eval / "deformation.json").write_text(text + "\n", encoding="utf-8")
    yield text


def _folder(run: Run) -> Path:
    folder = run.folder.root / "deformed"
    folder.mkdir(exist_ok=True)
    return folder


def _written(run: Run, pair: Pair, source: Mesh, stem: str, asked: Asked) -> Generator[str, None, dict[str, Any]]:
    """Write the mesh at the times asked for, with its texture if it has one; return how area and volume differ."""
    found, file = {}, asked.mesh or pair.file
    textured = is_textured(file)
    for t, moved in zip(asked.times, carried(run, source, asked.times, pair.name), strict=True):
        found[f"{t:g}"] = kept(source, moved)
        if asked.world == "target":
            moved = replace(moved, vertices=pair.target_frame.to_world(run.frame.to_training(moved.vertices)))
        path = _folder(run) / f"{stem}_t{t:.3f}{'.obj' if textured else '.ply'}"
        if textured:
            write_moved(path, file, moved.vertices)
        else:
            write_mesh(path, moved.vertices, moved.faces, colors=moved.colors)
        save_picture(moved, run.folder.images / f"{path.stem}.png")
        yield f"mesh: {path}"
    return found


def _figures(pair: Pair, moments: Sequence[Mesh], between: Sequence[Path]) -> dict[str, Any]:
    source, target = moments[0], pair.target
    found: dict[str, Any] = {"end": against_target(source, moments[-1], target)}
    if isinstance(target, Mesh):
        found["half_area_percent"] = half_area(source, moments[len(moments) // 2], target)
    found["area_deviation_x10"] = 10.0 * area_deviation(source, moments)
    if between and isinstance(target, Mesh):
        found["between"] = between_ends(source, target, moments, [read_mesh(file) for file in between], between)
    return found


def _moving(run: Run, pairs: Sequence[Pair], ways: Sequence[Sequence[Mesh]], asked: Asked) -> Iterator[str]:
    if asked.film is not None:
        yield from (f"film: {path}" for path in write_film(asked.film, run, [mesh for way in ways for mesh in way]))
    if asked.animation is not None:
        source = ways[0][0]
        if any(way[0].faces.shape != source.faces.shape or (way[0].faces != source.faces).any() for way in ways):
            raise UserError("--animation needs shapes of one vertex order: choose a pair of the sequence by --shape")
        times = [k / FRAMES for k in range(FRAMES + 1)]
        steps = [
            (k + t, mesh)
            for k, (pair, way) in enumerate(zip(pairs, ways, strict=True))
            for t, mesh in zip(times, carried(run, way[0], times, pair.name), strict=True)
            if t < 1.0 or k + 1 == len(ways)
        ]
        write_animation(asked.animation, source, [t for t, _ in steps], [mesh.vertices for _, mesh in steps])
        yield f"animation: {asked.animation}"


def pairs_of(run: Run, shape: str | None) -> list[Pair]:
    """Return the pair of shapes of a run, or those of its sequence, or of these the one of that name.

    Raises:
        UserError: it has none of that name, or no velocity.
    """
    names = [name for name, spec in run.recipe.data.items() if isinstance(spec.config, PairingConfig)]
    if not names or not run.view.has("velocity"):
        raise UserError(f"{run.folder.root} holds no deformation: a pair of shapes and a velocity were expected")
    shapes = run.data(names[0])
    assert isinstance(shapes, ShapePairs)
    chosen = [pair for pair in shapes.pairs if shape in (None, pair.name)]
    if not chosen:
        close = nearest(str(shape), [pair.name for pair in shapes.pairs])
        raise UserError(f"no pair {shape!r} in this run; closest: {', '.join(close or shapes.shapes[:5])}")
    return chosen
