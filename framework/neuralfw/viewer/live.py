"""A run in a browser while it trains: its surface or its Gaussians, step and losses."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float64

from ..components import Field
from ..data.images import Images
from ..errors import UserError
from ..film.shots import mean_upward
from ..geometry import Mesh
from ..geometry.splats import Stored, read_gaussians
from ..hooks import hook
from ..picture import COLOR
from ..training.previews import coarse_mesh, moves
from ..training.telling import told
from .page import Page

if TYPE_CHECKING:
    from ..training.step import StepContext
    from ..training.trainer import Trainer

SECONDS = 2.0
"""Least time from one showing to the next."""

SHARE = 0.05
"""Of the time of training that showing takes at most, from the second showing on."""

_GAUSSIANS = "gaussians"


class Live:
    """Shows a run to browsers while it trains, and closes when the training ends.

    The state is drawn in the training's own thread, and only while somebody looks: otherwise a step costs one look at
    the list of connections. What the training draws at random is unmoved. Should showing fail, it ends and the training
    goes on.

    Attributes:
        url: where a browser finds it.
    """

    def __init__(self, say: Callable[[str], None], *, host: str = "127.0.0.1", port: int = 8080) -> None:
        """Open a server; see `Page`.

        Raises:
            UserError: viser is not installed, or the address cannot be used.
        """
        self._say = say
        self._page: Page | None = Page("neuralfw", host=host, port=port)
        self.url, self._gui = self._page.url, self._page.server.gui
        self._text = self._gui.add_markdown("*opening the data*")
        self._stage, self._next = "", 0.0
        self._boxes: dict[str, Any] = {}
        self._moment: Any = None
        self._aimed = False

    def __enter__(self) -> Live:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the server and its connections; a second time does nothing."""
        if self._page is not None:
            self._page.stop()
            self._page = None

    @hook
    def neuralfw_run_start(self, trainer: Trainer) -> None:
        """Prepare the panel, and let browsers look at the box of the data."""
        if self._page is None:
            return
        scene = trainer.scene
        bounds = scene.bounds.double().cpu().numpy()
        corners = scene.frame.to_world(np.stack(np.meshgrid(*bounds.T), axis=-1).reshape(-1, 3))
        self._page.look_at(np.stack([corners.min(axis=0), corners.max(axis=0)]), _up(trainer))
        if trainer.recipe.export is not None and scene.view().has("sdf"):
            self._boxes["surface"] = self._gui.add_checkbox("surface", True)
        if any(field.exports == _GAUSSIANS for field in _fields(trainer)):
            self._boxes[_GAUSSIANS] = self._gui.add_checkbox("Gaussians", "surface" not in self._boxes)
        if moves(trainer):
            self._moment = self._gui.add_slider("time", 0.0, 1.0, 0.05, 0.0)

    @hook
    def neuralfw_stage_start(self, trainer: Trainer, stage: str, steps: int) -> None:
        """Show the Gaussians in a stage that trains no surface."""
        self._stage = f"{stage}, {steps:,} steps"
        trained = {name.partition(".")[0] for name in trainer.recipe.stages[trainer.stage].train}
        if len(self._boxes) == 2:
            surface = trainer.scene.roles().get("sdf") in trained
            self._boxes["surface"].value, self._boxes[_GAUSSIANS].value = surface, not surface

    @hook
    def neuralfw_step_end(self, trainer: Trainer, ctx: StepContext) -> None:
        """Show the state of this step, if somebody looks and it is time."""
        if self._page is None or not self._page.server.get_clients() or time.perf_counter() < self._next:
            return
        began = time.perf_counter()
        trainer.scene.eval()
        try:
            with torch.no_grad():
                self._show(self._page, trainer, ctx)
        except Exception as error:
            self._say(f"the viewer ends, the training goes on: {type(error).__name__}: {error}")
            self.stop()
        finally:
            trainer.scene.train()
        taken = time.perf_counter() - began
        self._next = time.perf_counter() + max(SECONDS, taken * (1.0 / SHARE - 1.0))

    @hook
    def neuralfw_run_end(self, trainer: Trainer) -> None:
        """End, however training ended."""
        self.stop()

    def _show(self, page: Page, trainer: Trainer, ctx: StepContext) -> None:
        clock, lines = trainer.clock, [f"**{trainer.recipe.name}**", f"{self._stage}"]
        lines += [f"step {clock.stage:,} of the stage, {clock.run:,} of the run", *told(trainer, ctx)]
        for name, show in (("surface", self._surface), (_GAUSSIANS, self._gaussians)):
            handle = page.server.scene.get_handle_by_name(f"/{name}")
            if name in self._boxes and self._boxes[name].value:
                try:
                    show(page, trainer)
                except UserError as error:
                    lines.append(f"*{error}*")
            elif handle is not None:
                handle.remove()
        self._text.content = "  \n".join(lines)

    def _surface(self, page: Page, trainer: Trainer) -> None:
        surface = coarse_mesh(trainer, None if self._moment is None else float(self._moment.value))
        vertices = trainer.scene.frame.to_world(surface.vertices)
        page.surface(Mesh(vertices, surface.faces, np.tile(COLOR, (len(vertices), 1))))
        if not self._aimed:
            page.look_at(np.stack([vertices.min(axis=0), vertices.max(axis=0)]), _up(trainer))
            self._aimed = True

    def _gaussians(self, page: Page, trainer: Trainer) -> None:
        field = next(field for field in _fields(trainer) if field.exports == _GAUSSIANS)
        page.gaussians(_stored(field, trainer, None if self._moment is None else float(self._moment.value)))


def _fields(trainer: Trainer) -> list[Field]:
    return [field for field in reversed([*trainer.scene.fields.values()]) if isinstance(field, Field)]


def _stored(field: Field, trainer: Trainer, moment: float | None) -> Stored:
    """Return Gaussians as their field writes them, which knows how."""
    with tempfile.TemporaryDirectory() as folder:
        (file, *_) = field.export(Path(folder) / _GAUSSIANS, trainer.scene.frame, moment)
        return read_gaussians(file)


def _up(trainer: Trainer) -> Float64[np.ndarray, "3"]:
    images = next((data for data in trainer.scene.data.values() if isinstance(data, Images)), None)
    frame = trainer.scene.frame
    return mean_upward([] if images is None else [camera.to_world(frame) for camera in images.cameras])
