"""Scenes without photographs: an SDF, a colour and the pose of a camera, as a recipe builds them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from neuralfw import testing
from neuralfw.scene import Scene

RECIPE = """
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
"""


@pytest.fixture
def build_scene() -> Callable[..., Scene]:
    """Returns what builds the scene in double precision, with options of the renderer and, maybe, learnt cameras."""

    def build(options: str = "", cameras: str = "") -> Scene:
        return testing.build_scene(RECIPE.format(options=options, cameras=cameras)).double()

    return build
