"""Losses against their formulas, on motions for which they are known."""

from __future__ import annotations

import math

import pytest
import torch

from neuralfw.testing import build_component

N = torch.nn.functional.normalize(torch.randn(20, 3, generator=torch.Generator().manual_seed(0)), dim=1)


def loss(name, outputs, batch=None, **options):
    return float(build_component("loss", name, options)(outputs, batch or {}))


def rows(matrix):
    return torch.tensor(matrix).expand(20, 3, 3)


ROTATION = rows([[0.0, -0.5, 0.0], [0.5, 0.0, 0.0], [0.0, 0.0, 0.0]])
GROWTH = rows([[0.2, 0.0, 0.0], [0.0, 0.2, 0.0], [0.0, 0.0, 0.2]])


def test_matching_weighs_the_part_along_the_normal():
    batch = {"target": torch.zeros(20, 3), "velocity/target_normal": N}
    assert loss("matching", {"moved": 0.1 * N}, batch) == pytest.approx(0.01)
    assert loss("matching", {"moved": 0.1 * N}, batch, along_normal=4.0) == pytest.approx(0.04)
    across = torch.linalg.cross(N, N.roll(1, 0))
    expected = float(across.square().sum(dim=1).mean())
    assert loss("matching", {"moved": across}, batch, along_normal=4.0) == pytest.approx(expected, rel=1e-5)


def quarter_turn(steps, *, straight=False):
    """Points carried by a quarter turn, or on the chords of it, with each row's neighbour the next but ten."""
    t = torch.linspace(0.0, 1.0, steps + 1)
    s, c = torch.sin(0.5 * math.pi * t)[:, None], torch.cos(0.5 * math.pi * t)[:, None]
    path = torch.stack([c * N[:, 0] - s * N[:, 1], s * N[:, 0] + c * N[:, 1], N[:, 2].expand(steps + 1, -1)], dim=2)
    path = torch.lerp(path[:1], path[-1:], t[:, None, None]) if straight else path
    batch = {"points": N, "target": path[-1], "velocity/neighbor": torch.arange(20).roll(10)}
    return {"trajectory": path, "trajectory_time": t}, batch


def test_isometry_lets_a_turn_pass_and_not_its_chords():
    assert loss("isometry", *quarter_turn(4)) == pytest.approx(0.0, abs=1e-12)
    outputs, batch = quarter_turn(2, straight=True)
    flat = N - N.roll(10, 0)
    length, across = flat.norm(dim=1), flat[:, :2].norm(dim=1)
    short = length - (length.square() - 0.5 * across.square()).sqrt()  # halfway the chords are nearer by √½
    share = short / length.mean()
    assert loss("isometry", outputs, batch) == pytest.approx(float(share.square().mean()), rel=1e-4)
    beyond = (share - 0.1).relu().square().mean()
    assert loss("isometry", outputs, batch, slack=0.1) == pytest.approx(float(beyond), rel=1e-4)
    assert loss("isometry", outputs, batch, slack=2.0) == 0.0


def test_isometry_lets_lengths_grow_evenly():
    t = torch.linspace(0.0, 1.0, 5)
    outputs = {"trajectory": (1.0 + t)[:, None, None] * N, "trajectory_time": t}
    batch = {"points": N, "target": 2.0 * N, "velocity/neighbor": torch.arange(20).roll(10)}
    assert loss("isometry", outputs, batch) == pytest.approx(0.0, abs=1e-12)
    outputs["trajectory"] = (1.0 + t.square())[:, None, None] * N
    assert loss("isometry", outputs, batch) > 1e-3


def test_straight_ways_are_even_too():
    assert loss("straight", *quarter_turn(4, straight=True)) == pytest.approx(0.0, abs=1e-12)
    outputs, batch = quarter_turn(2)
    sagitta = N[:, :2].norm(dim=1) * (1.0 - math.sqrt(0.5))
    assert loss("straight", outputs, batch) == pytest.approx(float(sagitta.square().mean()), rel=1e-4)
    outputs, batch = quarter_turn(4, straight=True)
    outputs["trajectory_time"] = outputs["trajectory_time"].square()
    assert loss("straight", outputs, batch) > 1e-3


def test_navier_stokes_of_taylor_green():
    """Its Laplacian is -3v, so that (γ - αΔ)v = (γ + 3α)v."""
    outputs = {"velocity": N, "velocity_laplacian": -3.0 * N}
    assert loss("navier_stokes", outputs, alpha=0.1, gamma=2.0) == pytest.approx((2.0 + 0.3) ** 2, rel=1e-5)


def test_navier_stokes_without_its_laplacian_asks_for_none():
    assert loss("navier_stokes", {"velocity": 0.5 * N}, alpha=0.0, gamma=2.0) == pytest.approx(1.0)


def test_rigid_motion_is_free():
    outputs = {"velocity_jacobian": ROTATION, "normal": N, "divergence": torch.zeros(20)}
    assert loss("distortion", outputs) == 0.0 and loss("divergence", outputs) == 0.0
    finite = loss("stretching", outputs)  # x + v is no rotation but for small ones: 1 + 0.5² across the axis
    assert 0.0 < finite < 2 * 0.25**2 + 1e-6


def test_growth_changes_volume_and_not_shape():
    assert loss("distortion", {"velocity_jacobian": GROWTH}) == pytest.approx(0.0, abs=1e-8)
    assert loss("divergence", {"divergence": torch.full((20,), 0.6)}) == pytest.approx(0.36)
    assert loss("divergence", {"divergence": torch.full((20,), -0.6)}, power=1) == pytest.approx(0.6)
    stretched = loss("stretching", {"velocity_jacobian": GROWTH, "normal": N})
    assert stretched == pytest.approx(2 * (1.2**2 - 1) ** 2, rel=1e-4)


def test_shear_is_distortion():
    sheared = {"velocity_jacobian": rows([[0.0, 0.6, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])}
    assert loss("distortion", sheared) == pytest.approx(0.09)
    assert loss("distortion", sheared, power=2) == pytest.approx(0.0081)


def test_level_set_residual_of_a_growing_sphere_is_zero_for_strength_one():
    a, r = 0.4, 0.3 * math.exp(0.4)
    length = torch.linspace(0.1, 1.0, 20)
    outputs = {"sdf": length - r, "material_derivative": a * (length - r), "normal_stretch": torch.full((20,), a)}
    assert loss("level_set_residual", outputs) == pytest.approx(0.0, abs=1e-12)
    assert loss("level_set_residual", {"material_derivative": outputs["material_derivative"]}, strength=0.0) > 1e-3
    assert loss("level_set_residual", outputs, strength=-1.0) > 1e-3
