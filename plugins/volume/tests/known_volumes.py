"""Scenes whose distance is known: a plane or a sphere, with colours of a small network, in double precision."""

from __future__ import annotations

import torch
from torch import Tensor

from neuralfw.components import Quantities
from neuralfw.geometry.camera import Camera
from neuralfw.scene import Scene
from neuralfw.testing import ExactSphere, Sphere, build_scene, image_batch, pixel_batch

RADIUS = 0.6
CAMERA = Camera.look_at([0.3, -2.2, 0.6], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0], focal=20.0, width=16, height=12)

RECIPE = """
[fields.sdf]
type     = "mlp_sdf"
width    = 16
layers   = 2
beta     = 20.0
features = 4
encoder  = {{ type = "frequency", bands = 2 }}

[fields.color]
type   = "mlp_color"
width  = 16
layers = 2
mode   = "{mode}"

{cameras}

[renderers.main]
type = "{type}"
{options}
"""


def scene_of(
    kind: str = "neus", options: str = "", *, cameras: str = "", mode: str = "idr", exact: bool = False
) -> Scene:
    """Build a scene; `exact` puts a sphere in the place of the network of the distance."""
    scene = build_scene(RECIPE.format(type=kind, options=options, cameras=cameras, mode=mode)).double()
    if exact:
        scene.fields["sdf"] = ExactSphere(RADIUS)
    return scene


def images(**more: Tensor) -> Quantities:
    return image_batch(CAMERA, **more)


def pixels(places: list[tuple[float, float]], **more: Tensor) -> Quantities:
    return pixel_batch(CAMERA, places, **more)


def render(scene: Scene, batch: Quantities, *want: str) -> Quantities:
    return scene.renderers["main"](scene.view(), batch, frozenset(want))  # type: ignore[no-any-return]


def known_hits() -> tuple[Tensor, Tensor, Tensor]:
    """For each pixel of `CAMERA`: whether it shows the sphere, how far away, and the least distance along its ray."""
    hit, distance, least = (torch.from_numpy(a) for a in Sphere(RADIUS).seen_by(CAMERA))
    return hit, distance, least
