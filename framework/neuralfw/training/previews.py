"""What a scene looks like while it trains, in TensorBoard: photographs beside renderings, and meshes; at each time.

The meshes are also kept in meshes/steps/, in world units, for the viewer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float

from ..data.images import Images
from ..errors import UserError
from ..geometry import write_mesh
from ..hooks import hook
from ..meshing import EmptySurfaceError, Surface
from ..rendering import Pictures

if TYPE_CHECKING:
    from ..components import Mesher, Quantities
    from .step import StepContext
    from .trainer import Trainer

VIEWS = 3
TIMES = 9
"""At most so many time stamps of a scene that moves, each by one view; of one that does not, VIEWS views."""

RESOLUTION = 64
"""Of the meshes: a browser turns them around."""


class Previews:
    """Writes pictures and meshes every so many steps, and at the end of a stage; what the training draws is unmoved."""

    def __init__(self, every: int) -> None:
        self._every = every

    @hook
    def neuralfw_step_end(self, trainer: Trainer, ctx: StepContext) -> None:
        clock = trainer.clock
        if clock.run % self._every and clock.stage != clock.stage_steps:
            return
        folder = trainer.store.folder.parent / "meshes" / "steps"
        trainer.scene.eval()
        with torch.no_grad():
            for name, picture in views(trainer):
                trainer.log.picture(clock.run, name, picture)
            for name, vertices, faces in meshes(trainer):
                trainer.log.mesh(clock.run, name, vertices, faces)
                file = folder / f"{clock.run:08d}_{name.replace('/', '_')}.ply"
                write_mesh(file, trainer.scene.frame.to_world(vertices), faces)
        trainer.scene.train()


def views(trainer: Trainer) -> Iterator[tuple[str, Float[np.ndarray, "h w 3"]]]:
    """Yield pictures: a photograph, what the scene makes of it and, where the renderer gives them, its normals."""
    pictures = Pictures.of(trainer.scene, trainer.recipe, trainer.plan)
    data = next((data for data in trainer.scene.data.values() if isinstance(data, Images)), None)
    if pictures is None or data is None:
        return
    for number, index in enumerate(_chosen(data)):
        view = data.views[index]
        batch = data.view_batch(index)
        try:
            images = pictures(batch)
        except EmptySurfaceError:
            continue
        panels = [batch["rgb"][0], images["rgb"][0].clamp(0.0, 1.0)]
        if "normal" in images:
            axes = batch["world_to_camera"][0, :3, :3] * torch.tensor([[1.0], [-1.0], [-1.0]])
            panels.append(0.5 * (images["normal"][0] @ axes.T + 1.0))
        name = f"view/{number}" if view.time is None else f"view/t{view.time:.3f}"
        yield name, torch.cat(panels, dim=1).numpy()


def meshes(trainer: Trainer) -> Iterator[tuple[str, Float[np.ndarray, "v 3"], np.ndarray]]:
    """Yield coarse meshes in the training space: of a scene that moves one for each of its times; none of codes."""
    view = trainer.scene.view()
    if trainer.recipe.export is None or not view.has("sdf") or view.has("latents"):
        return
    for time in _some(_times(trainer), TIMES) if moves(trainer) else [None]:
        try:
            surface = coarse_mesh(trainer, time)
        except UserError:
            continue
        yield ("mesh" if time is None else f"mesh/t{time:.3f}"), surface.vertices, surface.faces


def moves(trainer: Trainer) -> bool:
    """Say whether the surface depends on time."""
    name = trainer.scene.roles().get("sdf")
    return name is not None and "time" in trainer.recipe.fields[name].config.wiring().provides["sdf"]


def coarse_mesh(trainer: Trainer, time: float | None = None) -> Surface:
    """Return a coarse mesh in the training space; that of the first code where there are several.

    Raises:
        EmptySurfaceError: there is no surface.
    """
    scene, table = trainer.scene, trainer.recipe.export
    assert table is not None
    view = scene.view()
    inputs: Quantities = {} if time is None else {"time": torch.tensor([time], device=scene.device)}
    if view.has("latents"):
        inputs["latent"] = view.field("latents").bounded()[:1]  # type: ignore[operator]
    mesher: Mesher = scene.make(table.mesher)
    surface: Surface = mesher(view, resolution=RESOLUTION, inputs=inputs)
    return surface


def _times(trainer: Trainer) -> Sequence[float]:
    return next((data.times for data in trainer.scene.data.values() if data.times), (0.0, 0.5, 1.0))


def _chosen(data: Images) -> list[int]:
    """Return views to show, held out ones where there are some: of a scene that moves the first at each time."""
    members = data.members("test" if data.holds("test") else "train")
    first = {data.views[index].time: index for index in reversed(members)}
    if len(first) > 1:
        return [first[time] for time in _some(sorted(first, key=lambda time: time or 0.0), TIMES)]
    return _some(members, VIEWS)


def _some(items: Sequence, count: int) -> list:  # type: ignore[type-arg]
    """Return so many of the items, the first and the last among them."""
    if len(items) <= count:
        return [*items]
    return [items[round(k * (len(items) - 1) / (count - 1))] for k in range(count)]
