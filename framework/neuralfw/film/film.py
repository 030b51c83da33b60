"""Renders the shots of a film."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from neuralfw.errors import UserError
from neuralfw.meshing import EmptySurfaceError

from .drawn import Color, Images, mesh_images, shown
from .files import check_ending, write_frames
from .shots import Shot

if TYPE_CHECKING:
    from neuralfw.run import Run

WHAT = {"rgb": "rgb", "depth": "depth", "normal": "normal", "mask": "alpha"}
"""What can be shown, and the image that shows it."""


def film(
    run: Run, shots: Sequence[Shot], path: Path, *, what: Sequence[str] = ("rgb",),
    by: Literal["auto", "renderer", "mesh"] = "auto",
    background: Color = (1.0, 1.0, 1.0), fps: int = 24, resolution: int | None = None, shape: str | None = None,
    say: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:  # fmt: skip
    """Render a run and write pictures or a film; return the files.

    Args:
        run: of any method.
        shots: in order.
        path: ends in .png, .gif or .mp4.
        what: of rgb, depth, normal, mask; several are shown side by side.
        by: the run's own renderer, or its mesh; auto: the renderer where the scene has learnt colours.
        background: of rgb.
        fps: frames of a second.
        resolution: of the mesh, cells along its longest edge.
        shape: one shape of several.
        say: told of each frame that is done, and of how many there are.

    Raises:
        UserError: something cannot be shown or written.
    """
    check_ending(path)
    if unknown := [name for name in what if name not in WHAT]:
        raise UserError(f"--what {unknown[0]}: expected of {', '.join(WHAT)}, with commas between")
    if run.timed and (missing := [k for k, shot in enumerate(shots) if shot.time is None]):
        raise UserError(f"this scene moves, and picture {missing[0]} has no time: say when, such as --times 0,1")
    colored = run.pictures is not None and not {"color", "gaussians"}.isdisjoint(run.scene.roles())
    own = by == "renderer" or (by == "auto" and (colored or run.recipe.export is None))
    see = _rendered(run, background) if own else _drawn(run, background, resolution, shape)
    seen = []
    for number, shot in enumerate(shots):
        images = _at(see, shot, background) if run.timed else see(shot)
        if lacking := [name for name in what if WHAT[name] not in images]:
            raise UserError(
                f"--what {lacking[0]}: the renderer of this run gives {', '.join(images)}; --by mesh gives all"
            )
        seen.append({name: image for name, image in images.items() if name in {WHAT[w] for w in what} | {"alpha"}})
        say(number + 1, len(shots))
    near, far = _depths(seen)
    frames = [shown(images, what, shot.camera, near, far) for images, shot in zip(seen, shots, strict=True)]
    if len({frame.shape for frame in frames}) > 1 and path.suffix.lower() != ".png":
        raise UserError(f"{path}: the cameras have different sizes; a film has one: write .png, or say --size")
    return write_frames(path, frames, fps=fps)


def _rendered(run: Run, background: Color) -> Callable[[Shot], Images]:
    return lambda shot: run.render(shot.camera, shot.time if run.timed else None, background=background)


def _drawn(run: Run, background: Color, resolution: int | None, shape: str | None) -> Callable[[Shot], Images]:
    def see(shot: Shot) -> Images:
        mesh = run.mesh(shot.time if run.timed else None, resolution, shape=shape)
        return mesh_images(mesh, shot.camera, background)

    return see


def _at(see: Callable[[Shot], Images], shot: Shot, background: Color) -> Images:
    """Return what is seen at a time: nothing, where there is no surface then."""
    try:
        return see(shot)
    except EmptySurfaceError:
        size = (shot.camera.height, shot.camera.width)
        empty, normals = np.zeros(size, np.float32), np.zeros((*size, 3), np.float32)
        return {"rgb": normals + np.array(background, np.float32), "alpha": empty, "depth": empty, "normal": normals}


def _depths(seen: Sequence[Images]) -> tuple[float, float]:
    """Return the least and the largest depth that is shown, of all frames."""
    inside = [images["depth"][images["alpha"] > 0.5] for images in seen if "depth" in images and "alpha" in images]
    depths = np.concatenate([*inside, np.zeros(0)])
    return (float(depths.min()), float(depths.max())) if len(depths) else (0.0, 1.0)
