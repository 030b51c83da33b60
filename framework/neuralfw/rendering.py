"""Renders a trained scene as the recipe's own pass over photographs does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from .components import Quantities, Renderer
from .config import Spec
from .geometry import Camera, Frame
from .recipe.model import Recipe
from .recipe.plan import Plan
from .recipe.supply import lacks, required
from .scene import Scene, SceneView

IMAGES = frozenset({"rgb", "alpha", "depth", "normal"})


def camera_batch(camera: Camera, background: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Quantities:
    """Return the batch of one camera of the training space, without a photograph."""
    return {
        "world_to_camera": torch.from_numpy(camera.world_to_camera).float()[None],
        "intrinsics": torch.from_numpy(camera.intrinsics).float()[None],
        "size": torch.tensor([camera.height, camera.width]),
        "background": torch.tensor([background]),
    }


@dataclass(frozen=True)
class Pictures:
    """A renderer of posed images, with the fields that it renders.

    Attributes:
        renderer: of whole images.
        view: the scene with the fields of its pass.
        want: what it gives, of rgb, alpha, depth and normal.
    """

    renderer: Renderer
    view: SceneView
    want: frozenset[str]

    @classmethod
    def of(cls, scene: Scene, recipe: Recipe, plan: Plan) -> Pictures | None:
        """Return the first pass over posed photographs of the last stage that has one.

        In a recipe without posed photographs, it is the last renderer of posed images that its fields serve, of which
        no pass need know; None where there is no such thing.
        """
        for stage, wired in reversed([*zip(recipe.stages, plan.stages, strict=True)]):
            for name, table in stage.passes.items():
                found = wired.passes[name]
                if "rgb" in found.predicted and "world_to_camera" in found.observed:
                    renderer: Renderer = scene.renderers[table.renderer]  # type: ignore[assignment]
                    return cls(renderer, scene.view(found.roles), IMAGES & found.predicted)
        if any("world_to_camera" in spec.config.wiring().provides for spec in recipe.data.values()):
            return None
        for name, spec in reversed(recipe.renderers.items()):
            if "world_to_camera" in spec.config.wiring().observes and (able := IMAGES & _served(recipe, spec)):
                return cls(scene.renderers[name], scene.view(), able)  # type: ignore[arg-type]
        return None

    def __call__(self, batch: Quantities) -> Quantities:
        """Return the images of a batch's cameras, on the host, in the training space."""
        device = self.view.device
        with torch.no_grad():
            images = self.renderer(self.view, {q: v.to(device) for q, v in batch.items()}, self.want)
        return {q: images[q].cpu() for q in self.want}

    def render(
        self, camera: Camera, frame: Frame, background: tuple[float, float, float], inputs: Quantities | None = None
    ) -> dict[str, Float[np.ndarray, "h w *c"]]:
        """Return the images of a camera of the world, in its units and axes; `inputs` are what fields take besides."""
        batch = camera_batch(camera.in_training(frame), background) | (inputs or {})
        images = {q: image[0].numpy() for q, image in self(batch).items()}
        if "depth" in images:
            images["depth"] = images["depth"] / np.float32(frame.scale)
        if "normal" in images:
            images["normal"] = frame.directions_to_world(images["normal"]).astype(np.float32)
        return images


def _served(recipe: Recipe, renderer: Spec) -> set[str]:
    """Return what a renderer gives of cameras alone, with the fields of a recipe."""
    wiring = renderer.config.wiring()
    given = {q: needs for spec in recipe.fields.values() for q, needs in spec.config.wiring().provides.items()}
    inputs = frozenset({*wiring.supplies, "time"})
    return {
        quantity
        for quantity, needs in wiring.provides.items()
        if not any(lacks(need, given, inputs) for need in required((*wiring.needs, *needs)))
    }
