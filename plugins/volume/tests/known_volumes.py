"""Scenes whose distance is known: a plane or a sphere, with colours of a small network, in double precision."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from neuralfw.components import Quantities, SdfField
from neuralfw.geometry.camera import Camera
from neuralfw.scene import Scene
from neuralfw.session import check

RADIUS = 0.6
CAMERA = Camera.look_at([0.3, -2.2, 0.6], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0], focal=20.0, width=16, height=12)

RECIPE = """
name = "volume"

[data.images]
type = "blender"
path = "nowhere"

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

[[stages]]
name   = "fit"
steps  = 1
train  = ["sdf"]
passes = {{ pixels = {{ data = "images", renderer = "main", rays = 8 }} }}
losses = [{{ type = "eikonal", on = "pixels" }}]
"""


def scene_of(
    folder: Path, kind: str = "neus", options: str = "", *, cameras: str = "", mode: str = "idr", exact: bool = False
) -> Scene:
    """Build a scene; `exact` puts a sphere in the place of the network of the distance."""
    path = folder / "volume.toml"
    path.write_text(RECIPE.format(type=kind, options=options, cameras=cameras, mode=mode))
    checked = check(path)
    scene = Scene(checked.recipe, checked.registry, torch.device("cpu")).build(with_data=False).double()
    if exact:
        scene.fields["sdf"] = Ball()
    return scene


class Ball(SdfField):
    """An exact sphere, and a level that may be moved."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.level = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def evaluate(self, inputs: Quantities, want: frozenset[str]) -> Quantities:
        x = inputs["points"]
        length = x.norm(dim=1)
        gradient = x / length[:, None]
        return {"sdf": length - RADIUS + self.level, "sdf_gradient": gradient, "feature": x.new_zeros(len(x), 4)}


def images(**more: Tensor) -> Quantities:
    return {
        "view": torch.tensor([0]),
        "world_to_camera": torch.from_numpy(CAMERA.world_to_camera)[None],
        "intrinsics": torch.from_numpy(CAMERA.intrinsics)[None],
        "size": torch.tensor([CAMERA.height, CAMERA.width]),
        "background": torch.tensor([[0.2, 0.3, 0.4]], dtype=torch.float64),
        **more,
    }


def pixels(places: list[tuple[float, float]], **more: Tensor) -> Quantities:
    n, whole = len(places), images()
    return {
        **{q: whole[q].expand(n, *whole[q].shape[1:]) for q in ("view", "world_to_camera", "intrinsics", "background")},
        "pixels": torch.tensor(places, dtype=torch.float64),
        **more,
    }


def render(scene: Scene, batch: Quantities, *want: str) -> Quantities:
    return scene.renderers["main"](scene.view(), batch, frozenset(want))  # type: ignore[no-any-return]


def known_hits() -> tuple[Tensor, Tensor, Tensor]:
    """For each pixel of `CAMERA`: whether it shows the sphere, how far away, and the least distance along its ray."""
    origin, directions = (torch.from_numpy(a) for a in CAMERA.rays())
    middle = -(directions @ origin)
    squared = middle.square() - origin.square().sum() + RADIUS**2
    least = (origin + middle[..., None] * directions).norm(dim=-1) - RADIUS
    return squared > 0, middle - squared.clamp_min(0.0).sqrt(), least
