"""The colours of surface points: what a run's field of colour says there, or what its photographs show."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from jaxtyping import Float64

from ..coloring import Seen, color_points
from ..data.images import Images
from ..errors import UserError
from ..geometry import Camera, Mesh
from ..learnt_cameras import cameras_of

if TYPE_CHECKING:
    from ..run import Run

T = TypeVar("T")
Say = Callable[[str], None]
Points = Float64[np.ndarray, "n 3"]

CHUNK = 16384
"""Points at which a field is evaluated at once."""


def source_of(run: Run) -> str:
    """Return where the colours of a run's surface come from, "field" or "photographs".

    Raises:
        UserError: it has neither.
    """
    if run.view.has("color"):
        return "field"
    if run.photographs is not None:
        return "photographs"
    raise UserError("--uv: this run has neither a field of colour nor photographs to take a texture from")


def colors_at(
    run: Run, mesh: Mesh, points: Points, normals: Points, t: float | None, shape: str | None, say: Say
) -> Points:
    """Return the colours, RGB in [0, 1], of points of a run's surface; tell first how long that takes.

    A field of colour is asked what it shows towards a camera straight above each point. Of photographs each counts by
    the fourth power of the cosine between normal and line of sight, where it sees the point.

    Args:
        mesh: the surface, which hides what lies behind it.
        points: on it, world units.
        normals: of it there, unit and outward.
        t: time in [0, 1], where the scene moves; of photographs those nearest in time count.
        shape: one of several.
        say: receives the time that it takes, before most of it has passed.
    """
    if source_of(run) == "field":
        return _by_field(run, points, normals, t, shape, say)
    return _by_photographs(run, mesh, points, normals, t, say)


def _by_field(run: Run, points: Points, normals: Points, t: float | None, shape: str | None, say: Say) -> Points:
    frame, fixed = run.frame_of(shape), run.inputs(t, shape)
    colors = np.empty_like(points)
    starts = range(0, len(points), CHUNK)
    for start in _timed(starts, len(starts), f"{len(points):,} texels by the field of colour", say):
        part = slice(start, start + CHUNK)
        inputs = {
            "points": torch.from_numpy(frame.to_training(points[part])).float(),
            "view_direction": torch.from_numpy(frame.directions_to_training(normals[part])).float(),
        }
        count = len(inputs["points"])
        inputs |= {q: v.expand(count, *v.shape[1:]) for q, v in fixed.items()}
        with torch.no_grad():
            found = run.view.evaluate({q: v.to(run.view.device) for q, v in inputs.items()}, frozenset({"color"}))
        colors[part] = found["color"].clamp(0.0, 1.0).cpu().numpy()
    return colors


def _by_photographs(run: Run, mesh: Mesh, points: Points, normals: Points, t: float | None, say: Say) -> Points:
    assert run.photographs is not None
    data = run.data(run.photographs)
    assert isinstance(data, Images)
    cameras, pictures = cameras_of(run, run.photographs, "train"), data.photographs
    chosen, black = _views(data, cameras, t), torch.zeros(3)

    def images() -> Iterator[Seen]:
        for index in _timed(chosen, len(chosen), f"{len(points):,} texels from {len(chosen)} photographs", say):
            observed = pictures.valid(index)
            rgb, alpha = pictures.color(index, black) * observed[..., None], pictures.mask(index) * observed
            yield cameras[index].to_world(run.frame), rgb.numpy(), alpha.numpy()

    return color_points(mesh, points, normals, images())


def _views(data: Images, cameras: dict[int, Camera], t: float | None) -> list[int]:
    """Return the photographs learnt from; of a scene that moves those nearest in time."""
    if t is None:
        return [*cameras]
    away = {index: abs((data.views[index].time or 0.0) - t) for index in cameras}
    return [index for index, apart in away.items() if apart <= min(away.values()) + 1e-9]


def _timed(items: Iterable[T], count: int, what: str, say: Say) -> Iterator[T]:
    """Pass items on; tell how long all take when the second is dealt with, since the first compiles and allocates."""
    began = 0.0
    for number, item in enumerate(items):
        yield item
        if number == 0:
            began = time.perf_counter()
        elif number == 1:
            say(f"colours of {what}: about {count * (time.perf_counter() - began):.0f} s")
