"""Encoders of points and times: their contract, what they give at and between moments, fields that take them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from neuralfw.components import Encoder
from neuralfw.recipe.faults import RecipeError
from neuralfw.testing import build_component, build_scene, check_encoder

SPACE = {"type": "frequency", "bands": 2}


def timed(name: str, **options: Any) -> Any:
    return build_component("encoder", name, {"space": SPACE, **options})


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("time_features", {"bands": 3}),
        ("time_features", {"form": "transformer", "bands": 32}),
        ("time_features", {"space": "identity"}),
        ("keyframes", {"frames": 2}),
        ("keyframes", {"frames": 4, "interpolation": "cubic"}),
    ],
    ids=str,
)
def test_they_keep_the_contract(name: str, options: dict[str, Any]) -> None:
    encoder = timed(name, **options)
    assert encoder.coordinates == 3
    check_encoder(encoder, dimensions=4)


def test_the_published_features_of_time() -> None:
    x = torch.tensor([[0.1, 0.2, 0.3, 0.75]])
    found = timed("time_features", space="identity", form="transformer", bands=32)(x)
    expected = [f(0.75 * 10000 ** (-2 * i / 64)) for i in range(32) for f in (math.sin, math.cos)]
    assert_close(found, torch.cat([x[:, :3], torch.tensor([expected])], dim=1))


class _Shifted(Encoder):
    """A frame whose feature is a number."""

    def __init__(self, value: float) -> None:
        torch.nn.Module.__init__(self)
        self.value, self.coordinates, self.out_dim, self.calls = value, 0, 1, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += len(x)
        return torch.full_like(x[:, :1], self.value)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_keyframes_meet_their_frames_and_interpolate_what_is_straight(interpolation: str) -> None:
    encoder = timed("keyframes", frames=5, interpolation=interpolation)
    encoder.frames = torch.nn.ModuleList([_Shifted(2.0 * k) for k in range(5)])
    encoder.out_dim, encoder.coordinates = 1, 0
    t = torch.tensor([-1.0, 0.0, 0.05, 0.25, 0.3, 0.6, 0.97, 1.0, 2.0])
    at = torch.cat([torch.zeros(len(t), 3), t[:, None]], dim=1)
    assert_close(encoder(at)[:, 0], 8.0 * t.clamp(0.0, 1.0))


def test_at_a_moment_only_its_frame_is_computed() -> None:
    encoder = timed("keyframes", frames=3)
    encoder.frames = torch.nn.ModuleList([_Shifted(float(k)) for k in range(3)])
    encoder.out_dim, encoder.coordinates = 1, 0
    encoder(torch.tensor([[0.1, 0.2, 0.3, 0.5]] * 6))
    assert [frame.calls for frame in encoder.frames] == [0, 6, 0]


TIMED_FIELD = """
[fields.sdf]
type    = "mlp_sdf"
width   = 16
layers  = 1
activation = "tanh"
encoder = {{ type = "{name}", space = {{ type = "frequency", bands = 2 }} }}
{more}
"""


@pytest.mark.parametrize("name", ["time_features", "keyframes"])
@pytest.mark.parametrize("more", ["", 'time = "raw"'])
def test_a_distance_has_its_derivatives(name: str, more: str) -> None:
    scene = build_scene(TIMED_FIELD.format(name=name, more=more)).double()
    field, random = scene.fields["sdf"], torch.Generator().manual_seed(0)
    assert scene.recipe.fields["sdf"].config.capabilities() >= {"time"}
    x = (2.0 * torch.rand(20, 3, generator=random, dtype=torch.float64) - 1.0).requires_grad_()
    t = torch.rand(20, generator=random, dtype=torch.float64).requires_grad_()
    found = field(x, t, want=frozenset({"sdf", "sdf_gradient", "sdf_time_derivative"}))
    in_x, in_t = torch.autograd.grad(field(x, t)["sdf"].sum(), (x, t))
    assert_close(found["sdf_gradient"], in_x)
    assert_close(found["sdf_time_derivative"], in_t)


@pytest.mark.parametrize(
    "field",
    [
        '[fields.v]\ntype = "mlp_velocity"\nencoder = "time_features"',
        '[fields.c]\ntype = "mlp_color"\nsdf = "s"\nview_encoder = "keyframes"\n[fields.s]\ntype = "mlp_sdf"',
        '[fields.s]\ntype = "mlp_sdf"\nencoder = { type = "keyframes", space = "time_features" }',
    ],
    ids=["velocity", "color", "nested"],
)
def test_where_time_has_no_place_it_is_refused(field: str) -> None:
    with pytest.raises(RecipeError, match="takes time as well as points"):
        build_scene(field)
