"""Scenes without photographs: an SDF, a colour and the pose of a camera, as a recipe builds them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from neuralfw.scene import Scene
from neuralfw.session import check

RECIPE = """
name = "traced"

[data.images]
type = "blender"
path = "nowhere"

[fields.sdf]
type     = "mlp_sdf"
width    = 24
layers   = 3
skip     = [2]
beta     = 20.0
features = 4
encoder  = {{ type = "frequency", bands = 2 }}

[fields.color]
type         = "mlp_color"
width        = 16
layers       = 2
view_encoder = {{ type = "frequency", bands = 2 }}

{cameras}

[renderers.main]
type = "sphere_trace"
{options}

[[stages]]
name   = "fit"
steps  = 1
train  = ["sdf"]
passes = {{ pixels = {{ data = "images", renderer = "main", rays = 8 }} }}
losses = [{{ type = "eikonal", on = "pixels" }}]
"""


@pytest.fixture
def build_scene(tmp_path: Path) -> Callable[..., Scene]:
    """Returns what builds the scene in double precision, with options of the renderer and, maybe, learnt cameras."""

    def build(options: str = "", cameras: str = "") -> Scene:
        path = tmp_path / "traced.toml"
        path.write_text(RECIPE.format(options=options, cameras=cameras))
        checked = check(path)
        scene = Scene(checked.recipe, checked.registry, torch.device("cpu")).build(with_data=False)
        return scene.double()

    return build
