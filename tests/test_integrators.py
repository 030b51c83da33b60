"""Points carried along flows whose end is known."""

from __future__ import annotations

import math

import pytest
import torch

from neuralfw.errors import UserError
from neuralfw.testing import build_component

QUARTER = 0.5 * math.pi


def rotation(x, t):
    return QUARTER * torch.stack([-x[:, 1], x[:, 0], torch.zeros_like(t)], dim=1)


def accelerating(x, t):
    """Solution x₀ e^{t²}."""
    return 2.0 * t[:, None] * x


def enright(x, t):
    """LeVeque's deformation, which comes back at t = 3."""
    s, d = torch.sin(math.pi * x).square(), torch.sin(2 * math.pi * x)
    parts = [2 * s[:, 0] * d[:, 1] * d[:, 2], -d[:, 0] * s[:, 1] * d[:, 2], -d[:, 0] * d[:, 1] * s[:, 2]]
    return torch.cos(math.pi * t / 3)[:, None] * torch.stack(parts, dim=1)


def circle(count=64):
    angle = torch.linspace(0, 2 * math.pi, count + 1, dtype=torch.float64)[:-1]
    return torch.stack([angle.cos(), angle.sin(), 0.1 * angle], dim=1)


def turned(x):
    return torch.stack([-x[:, 1], x[:, 0], x[:, 2]], dim=1)


@pytest.mark.parametrize(
    ("name", "steps", "expected"),
    [
        *(("euler", 5, 0.271), ("midpoint", 5, 0.0259), ("rk4", 5, 1.3e-4)),
        *(("euler", 10, 0.130), ("midpoint", 10, 6.5e-3), ("rk4", 10, 8.0e-6)),
        *(("euler", 20, 0.0635), ("midpoint", 20, 1.6e-3), ("rk4", 20, 5.0e-7)),
    ],
)
def test_a_quarter_turn_ends_as_far_from_the_truth_as_the_method_s_order_says(name, steps, expected):
    end = build_component("integrator", name, {"steps": steps})(rotation, circle(), 0.0, 1.0).end
    error = (end - turned(circle()))[:, :2].norm(dim=1).mean()
    assert float(error) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("name", ["midpoint", "rk4", "adaptive"])
def test_ten_steps_keep_the_volume_of_a_turned_body_that_euler_inflates(name):
    def growth(integrator):
        return float(integrator(rotation, circle(), 0.0, 1.0).end[:, :2].square().sum(dim=1).mean() - 1.0)

    assert growth(build_component("integrator", "euler", {"steps": 10})) == pytest.approx(0.276, abs=2e-3)
    options = {} if name == "adaptive" else {"steps": 10}
    assert abs(growth(build_component("integrator", name, options))) < 0.005


@pytest.mark.parametrize("name", ["rk4", "adaptive", "midpoint"])
def test_forward_then_backward_returns(name):
    integrator = build_component("integrator", name, {} if name == "adaptive" else {"steps": 60})
    x = 0.35 + 0.15 * circle()
    there = integrator(enright, x, 0.0, 1.2).end
    back = integrator(enright, there, 1.2, 0.0).end
    assert float((there - x).norm(dim=1).max()) > 0.05
    assert float((back - x).abs().max()) < (1e-3 if name == "midpoint" else 1e-4)


@pytest.mark.parametrize(("name", "options"), [("rk4", {"steps": 60}), ("adaptive", {})])
def test_enright_s_flow_comes_back(name, options):
    x = 0.35 + 0.15 * torch.nn.functional.normalize(torch.randn(200, 3, dtype=torch.float64), dim=1)
    end = build_component("integrator", name, options)(enright, x, 0.0, 3.0).end
    assert float((end - x).square().sum(dim=1).mean().sqrt()) < 1e-4


@pytest.mark.parametrize("name", ["midpoint", "rk4", "adaptive"])
def test_time_dependent_velocities_and_the_times_of_the_path(name):
    path = build_component("integrator", name)(accelerating, circle(), 0.2, 0.9)
    expected = circle() * torch.exp(path.times.square() - 0.04)[:, None, None]
    assert path.times[0] == 0.2 and float(path.times[-1]) == pytest.approx(0.9)
    torch.testing.assert_close(path.points, expected, rtol=2e-2 if name == "midpoint" else 2e-4, atol=0.0)


def test_a_part_of_the_time_takes_its_share_of_the_steps():
    integrator = build_component("integrator", "rk4", {"steps": 8})
    assert [len(integrator(rotation, circle(), 0.0, t).times) - 1 for t in (1.0, 0.5, 0.3, 0.01)] == [8, 4, 3, 1]


def test_adaptive_takes_short_steps_where_the_motion_is_fast():
    def burst(x, t):
        return torch.exp(-((t - 0.5) / 0.1).square())[:, None].expand_as(x)

    path = build_component("integrator", "adaptive")(burst, circle(), 0.0, 1.0)
    assert path.times.diff().max() > 1.5 * path.times.diff().min()
    way = torch.full((64, 3), 0.1 * math.sqrt(math.pi), dtype=torch.float64)
    torch.testing.assert_close(path.end - circle(), way, rtol=1e-3, atol=0.0)


def test_adaptive_gives_up_where_the_points_run_away():
    integrator = build_component("integrator", "adaptive", {"most": 50})
    with pytest.raises(UserError, match="after 50 steps: allow a larger error"):
        integrator(lambda x, t: 50.0 * x.square() + 1.0, circle(), 0.0, 1.0)


@pytest.mark.parametrize("name", ["euler", "midpoint", "rk4", "adaptive"])
def test_the_end_is_differentiable_in_start_and_velocity(name):
    speed, x = torch.tensor(0.8, dtype=torch.float64, requires_grad=True), circle(4).requires_grad_()
    integrator = build_component("integrator", name)
    assert torch.autograd.gradcheck(
        lambda s, y: integrator(lambda z, t: s * rotation(z, t), y, 0.0, 1.0).end, (speed, x)
    )


@pytest.mark.parametrize("name", ["rk4", "adaptive"])
def test_no_points_are_carried_nowhere(name):
    assert build_component("integrator", name)(rotation, circle()[:0], 0.0, 1.0).end.shape == (0, 3)
