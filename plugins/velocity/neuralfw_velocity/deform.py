"""A mesh carried by the velocity of a run: written at any times, with its faces as they are, and measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64

from neuralfw.components import Integrator
from neuralfw.config import Spec
from neuralfw.errors import UserError
from neuralfw.geometry import Mesh, read_mesh, write_mesh
from neuralfw.geometry.glb import write_animation
from neuralfw.integrators.config import FixedStepsConfig
from neuralfw.picture import save_picture
from neuralfw.renderers.flow import carry
from neuralfw.run import Run
from neuralfw.strict_json import dumps

from .config import ShapePairConfig
from .measures import MOMENTS, against_target, area_deviation, between_ends, half_area, kept
from .pair import ShapePair
from .shown import write_film, write_tracks

STEPS = 32
"""Steps of fourth order in which meshes are carried: their error is far below that of the learnt velocity."""


FRAMES = 24
"""Moments of an animation after its first; between two of them vertices move on straight lines."""


def deform(
    root: Path,
    times: Sequence[float],
    mesh: Path | None,
    between: Sequence[Path],
    tracks: int = 0,
    film: Path | None = None,
    animation: Path | None = None,
) -> Iterator[str]:
    """Write the carried mesh at the times to `deformed/` and the figures to `eval/deformation.json`; yield both.

    The ways of so many vertices as `tracks` says go to `deformed/tracks.obj`, a film of the mesh to `film`, and its way
    from 0 to 1 as one animated .glb to `animation`.

    Raises:
        UserError: the run has no velocity, or no pair of shapes; or a file is not what it should be.
    """
    run = Run(root)
    pair = pair_of(run)
    source = read_mesh(mesh) if mesh else pair.source
    if not isinstance(source, Mesh):
        raise UserError("the source is a point cloud, which has no faces to carry: give --mesh FILE")
    folder = run.folder.root / "deformed"
    folder.mkdir(exist_ok=True)
    found: dict[str, object] = {"times": {}}
    for t in times:
        moved = carried(run, source, (t,))[0]
        path = folder / f"{(mesh or Path('source')).stem}_t{t:.3f}.ply"
        write_mesh(path, moved.vertices, moved.faces, colors=moved.colors)
        save_picture(moved, run.folder.images / f"{path.stem}.png")
        found["times"][f"{t:g}"] = kept(source, moved)  # type: ignore[index]
        yield f"mesh: {path}"
    moments = carried(run, source, MOMENTS) if mesh is None or tracks or film else []
    if tracks:
        write_tracks(folder / "tracks.obj", moments, tracks)
        yield f"tracks: {folder / 'tracks.obj'}"
    if film:
        yield from (f"film: {path}" for path in write_film(film, run, moments))
    if animation is not None:
        shown = [index / FRAMES for index in range(FRAMES + 1)]
        write_animation(animation, source, shown, [moved.vertices for moved in carried(run, source, shown)])
        yield f"animation: {animation}"
    if mesh is None:
        found["end"] = against_target(source, moments[-1], pair.target)
        if isinstance(pair.target, Mesh):
            found["half_area_percent"] = half_area(source, moments[len(moments) // 2], pair.target)
        found["area_deviation_x10"] = 10.0 * area_deviation(source, moments)
        if between and isinstance(pair.target, Mesh):
            true = [read_mesh(file) for file in between]
            found["between"] = between_ends(source, pair.target, moments, true, between)
    run.folder.eval.mkdir(exist_ok=True)
    text = dumps(found, indent=2)
    (run.folder.eval / "deformation.json").write_text(text + "\n", encoding="utf-8")
    yield text


def pair_of(run: Run) -> ShapePair:
    """Return the pair of shapes of a run.

    Raises:
        UserError: it has none, or no velocity.
    """
    names = [name for name, spec in run.recipe.data.items() if isinstance(spec.config, ShapePairConfig)]
    if not names or not run.view.has("velocity"):
        raise UserError(f"{run.folder.root} holds no deformation: a pair of shapes and a velocity were expected")
    pair = run.data(names[0])
    assert isinstance(pair, ShapePair)
    return pair


def carried(run: Run, mesh: Mesh, times: Sequence[float]) -> list[Mesh]:
    """Return a mesh that is in place at time 0 at some later times, in world units, each with the same faces."""
    integrator: Integrator = run.scene.make(Spec("integrator", "core/rk4", FixedStepsConfig(steps=STEPS)))
    order = sorted({*times})
    places: dict[float, Float64[np.ndarray, "n 3"]] = {}
    x, now = torch.from_numpy(run.frame.to_training(mesh.vertices)).float().to(run.scene.device), 0.0
    with torch.no_grad():
        for t in order:
            x = carry(run.view, integrator, x, now, t).end if t > now else x
            places[t], now = run.frame.to_world(x.double().cpu().numpy()), t
    return [replace(mesh, vertices=places[t], notes=()) for t in times]
