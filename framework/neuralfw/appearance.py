"""One run's colours on another's shape, seen from cameras between those of its photographs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from PIL import Image
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation
from torch import nn

from .coloring import color_vertices
from .config import Spec
from .errors import UserError
from .exporting import training_cameras
from .geometry import Camera, write_mesh
from .geometry.files import write_file
from .rendering import Pictures
from .scene import Scene

if TYPE_CHECKING:
    from .run import Run

KEYS = 5
"""Cameras of the photographs through which the path goes."""

WHITE = (1.0, 1.0, 1.0)


def transfer(geometry: Run, appearance: Run, folder: Path, frames: int) -> None:
    """Write 000.png and on, a closed path about one run's shape in another's colours, and mesh.ply with them.

    Raises:
        UserError: a run has no field of colour, or the one does not fit the other's shape; see `wearing`.
    """
    pictures = wearing(geometry, appearance)
    path = between(training_cameras(geometry), frames)

    def images() -> Iterator[tuple[Camera, Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w"]]]:
        for number, camera in enumerate(path):
            seen = pictures.render(camera, geometry.frame, WHITE)
            encoded = BytesIO()
            shown = (seen["rgb"].clip(0.0, 1.0) * 255.0).round().astype(np.uint8)
            Image.fromarray(shown).save(encoded, "PNG", optimize=True)
            write_file(folder / f"{number:03}.png", encoded.getvalue())
            yield camera, seen["rgb"] - (1.0 - seen["alpha"])[..., None], seen["alpha"]

    folder.mkdir(parents=True, exist_ok=True)
    mesh = geometry.mesh()
    write_mesh(folder / "mesh.ply", mesh.vertices, mesh.faces, colors=color_vertices(mesh, images()))


def wearing(geometry: Run, appearance: Run) -> Pictures:
    """Return what renders one run's shape with another's field of colour (IDR, arXiv 2003.09852, §4.3).

    Positions are those of the training space, where both objects have the same size; the feature channels of the one
    shape go into the colour that was learnt beside the other's.

    Raises:
        UserError: a run has no field of colour or no renderer of it, or the colour needs what the shape has not.
    """
    own, other = _color_field(geometry), _color_field(appearance)
    spec = appearance.recipe.fields[other]
    given = {q.rstrip("?") for q in _needs(geometry.recipe.fields[own])}
    given |= {q for field in geometry.recipe.fields.values() for q in field.config.wiring().provides}
    needs = {q for q in _needs(spec) if not q.endswith("?")}
    if needs - given:
        raise UserError(
            f"transfer: the colour of {appearance.folder.root} needs {', '.join(sorted(needs - given))}, "
            f"which {geometry.folder.root} has not."
        )
    sizes = [int(getattr(run.scene.fields[run.scene.roles()["sdf"]], "features", 0)) for run in (geometry, appearance)]
    if sizes[0] != sizes[1]:
        raise UserError(
            f"transfer: the shape of {geometry.folder.root} has {sizes[0]} feature channels, the colour of "
            f"{appearance.folder.root} takes {sizes[1]}: train both with the same fields.sdf.features."
        )
    recipe = geometry.recipe.model_copy(update={"fields": {**geometry.recipe.fields, own: spec}})
    scene = Scene(recipe, geometry.scene.registry, geometry.scene.device)
    scene.fields = nn.ModuleDict({**geometry.scene.fields, own: appearance.scene.fields[other]})
    scene.renderers, scene.clock = geometry.scene.renderers, geometry.scene.clock
    scene.frame, scene.bounds = geometry.frame, geometry.scene.bounds
    pictures = Pictures.of(scene.eval(), recipe, geometry.plan)
    assert pictures is not None
    return pictures


def between(cameras: Sequence[Camera], count: int) -> list[Camera]:
    """Return cameras on a closed path through some of those given, by periodic cubic splines of pose (as IDR's code).

    Args:
        cameras: in the order of the photographs.
        count: of the cameras returned.

    Raises:
        UserError: there are fewer than two cameras.
    """
    if len(cameras) < 2:
        raise UserError("a path needs two photographs at least")
    chosen = np.linspace(0, len(cameras) - 1, min(KEYS, len(cameras))).round().astype(int)
    keys = [cameras[i] for i in (*chosen, chosen[0])]
    turns = Rotation.from_matrix([key.world_to_camera[:3, :3].T for key in keys]).as_quat()
    for before, after in pairwise(turns):
        after *= np.sign(before @ after) or 1.0
    turns[-1] = turns[0]
    poses = np.concatenate([turns, [key.center for key in keys]], axis=1)
    at = CubicSpline(np.arange(len(keys)), poses, bc_type="periodic")(np.linspace(0, len(keys) - 1, count, False))
    rotations = Rotation.from_quat(at[:, :4]).as_matrix().transpose(0, 2, 1)
    path = []
    for rotation, center in zip(rotations, at[:, 4:], strict=True):
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = rotation, -rotation @ center
        path.append(replace(keys[0], world_to_camera=pose))
    return path


def _needs(spec: Spec) -> tuple[str, ...]:
    return tuple(spec.config.wiring().provides["color"])


def _color_field(run: Run) -> str:
    name = run.scene.roles().get("color")
    if name is None or run.pictures is None:
        raise UserError(f"transfer: {run.folder.root} has no field of role color that a renderer shows.")
    return name
