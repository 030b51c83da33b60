"""Derivatives against finite differences in float64, and operators against flows whose values are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from neuralfw import operators
from neuralfw.nn import Mlp
from neuralfw.nn.jet import Jet
from neuralfw.testing import build_component

SMOOTH = ["softplus", "sine", "tanh", "silu"]


def points(count: int = 40, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return 2.0 * torch.rand(count, 3, generator=random, dtype=torch.float64) - 1.0


def by_differences(function, x, h=1e-4):
    """Central differences, to fourth order."""
    jacobian, laplacian = [], torch.zeros_like(function(x))
    for k in range(x.shape[1]):
        e = h * torch.eye(x.shape[1], dtype=x.dtype)[k]
        a, b, c, d, f = (function(x + s * e) for s in (-2, -1, 0, 1, 2))
        jacobian.append((a - 8 * b + 8 * d - f) / (12 * h))
        laplacian = laplacian + (-a + 16 * b - 30 * c + 16 * d - f) / (12 * h * h)
    return torch.stack(jacobian), laplacian


def assert_jet(found: Jet, function, x):
    jacobian, laplacian = by_differences(function, x)
    torch.testing.assert_close(found.value, function(x))
    torch.testing.assert_close(found.jacobian, jacobian, rtol=1e-7, atol=1e-8)
    if found.laplacian is not None:
        torch.testing.assert_close(found.laplacian, laplacian, rtol=1e-4, atol=1e-5)


def taylor_green(x):
    (sx, sy, _), (cx, cy, cz) = x.sin().unbind(1), x.cos().unbind(1)
    return torch.stack([sx * cy * cz, -cx * sy * cz, torch.zeros_like(sx)], dim=1)


@pytest.mark.parametrize("mode", ["_forward", "_reverse"])
def test_derivatives_of_a_function_in_both_modes(mode):
    found = getattr(operators, mode)(taylor_green, points(), True)
    assert_jet(found, taylor_green, points())
    torch.testing.assert_close(found.laplacian, -3.0 * taylor_green(points()))
    assert getattr(operators, mode)(taylor_green, points(), False).laplacian is None


def test_a_function_without_forward_derivatives_is_differentiated_all_the_same():
    net = Mlp(3, 3, width=16, layers=3, activation="tanh").double()
    assert_jet(operators.derivatives(net, points(), laplacian=True), net, points())


@pytest.mark.parametrize("skip", [(), (2,)])
@pytest.mark.parametrize("activation", SMOOTH)
def test_jet_of_a_network_against_finite_differences(activation, skip):
    net = Mlp(3, 3, width=16, layers=4, skip=skip, activation=activation, beta=5.0, omega=3.0).double()
    x = points()
    assert_jet(net.jet(operators.derivatives(lambda y: y, x, laplacian=True)), net, x)


def test_relu_has_a_jacobian_and_no_laplacian():
    net, x = Mlp(3, 3, width=16, layers=3, activation="relu").double(), points()
    jet = net.jet(operators.derivatives(lambda y: y, x, laplacian=True))
    torch.testing.assert_close(jet.jacobian, by_differences(net, x, h=1e-7)[0], rtol=1e-4, atol=1e-6)
    assert not jet.laplacian.any()


@pytest.mark.parametrize("activation", ["sine", "silu"])
def test_gradients_of_a_jet_are_those_of_autograd(activation):
    net, x = Mlp(3, 3, width=12, layers=3, activation=activation, omega=3.0).double(), points(10).requires_grad_()
    wanted = [x, *net.parameters()]

    def energy(jet):
        return jet.value.sin().sum() + jet.jacobian.square().sum() + (jet.laplacian * jet.value).sum()

    ours = torch.autograd.grad(energy(net.jet(operators.derivatives(lambda y: y, x, laplacian=True))), wanted)
    expected = torch.autograd.grad(energy(operators._reverse(net, x, True)), wanted)
    torch.testing.assert_close(ours, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    "options", [{}, {"time": "raw"}, {"encoder": {"type": "frequency", "bands": 3}, "time": "raw"}]
)
def test_a_velocity_field_says_its_derivatives_exactly_and_in_one_pass(options, monkeypatch):
    field = build_component("field", "mlp_velocity", {"width": 16, "layers": 3, "start": "plain", **options}).double()
    x, t = points(), torch.linspace(0, 1, 40, dtype=torch.float64) if "time" in options else None
    want, passes = frozenset({"velocity", "velocity_jacobian", "velocity_laplacian"}), []
    jet = field.mlp.jet
    monkeypatch.setattr(field.mlp, "jet", lambda u: passes.append(u) or jet(u))
    monkeypatch.setattr(field.mlp, "forward", lambda u: pytest.fail("a second pass"))
    found = field(x, t, want=want)
    monkeypatch.undo()
    assert len(passes) == 1
    jacobian, laplacian = by_differences(lambda y: field(y, t)["velocity"], x)
    torch.testing.assert_close(found["velocity"], field(x, t)["velocity"])
    torch.testing.assert_close(found["velocity_jacobian"], jacobian.permute(1, 2, 0), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(found["velocity_laplacian"], laplacian, rtol=1e-4, atol=1e-4)


def test_the_laplacian_of_rectified_units_costs_nothing_on_plain_coordinates_alone(monkeypatch):
    options, want = (
        {"width": 16, "layers": 3, "start": "plain", "activation": "relu"},
        {"velocity", "velocity_laplacian"},
    )
    field, x = build_component("field", "mlp_velocity", options).double(), points()
    monkeypatch.setattr(field.mlp, "jet", lambda u: pytest.fail("derivatives of what is known to be 0"))
    found = field(x, want=frozenset(want))
    torch.testing.assert_close(found["velocity"], field(x)["velocity"])
    assert found["velocity_laplacian"].shape == x.shape and not found["velocity_laplacian"].any()
    curved = build_component("field", "mlp_velocity", options | {"encoder": {"type": "frequency", "bands": 2}}).double()
    assert curved(x, want=frozenset(want))["velocity_laplacian"].abs().max() > 1e-3


def test_a_velocity_field_begins_at_rest():
    field = build_component("field", "mlp_velocity", {"width": 16, "layers": 2})
    assert not field(points().float())["velocity"].any()


def jacobian_of(velocity, x):
    return operators.derivatives(velocity, x).jacobian.permute(1, 2, 0)


def test_rigid_motion_has_no_strain():
    spin = torch.tensor([0.3, -0.7, 0.2], dtype=torch.float64)
    jacobian = jacobian_of(lambda x: torch.linalg.cross(spin.expand_as(x), x) + 0.5, points())
    for nothing in (operators.strain(jacobian), operators.divergence(jacobian), operators.shear(jacobian)):
        torch.testing.assert_close(nothing, torch.zeros_like(nothing))


def test_growth_has_divergence_and_no_shear():
    jacobian, normal = jacobian_of(lambda x: 0.4 * x, points()), torch.nn.functional.normalize(points(seed=1), dim=1)
    torch.testing.assert_close(operators.divergence(jacobian), torch.full((40,), 1.2, dtype=torch.float64))
    torch.testing.assert_close(operators.shear(jacobian), torch.zeros(40, dtype=torch.float64))
    stretch = operators.normal_stretch(jacobian, normal)
    torch.testing.assert_close(stretch, torch.full((40,), 0.4, dtype=torch.float64))
    metric = operators.tangential_stretch(jacobian, normal)  # the surface grows by 1.4 each way: 1.4² - 1
    torch.testing.assert_close(metric @ normal[..., None], torch.zeros(40, 3, 1, dtype=torch.float64))
    trace = metric.diagonal(dim1=1, dim2=2).sum(dim=1)
    torch.testing.assert_close(trace, torch.full((40,), 2 * (1.4**2 - 1), dtype=torch.float64))


def test_shear_is_the_second_invariant_of_the_strain():
    jacobian = jacobian_of(lambda x: torch.stack([0.6 * x[:, 1], 0 * x[:, 1], 0 * x[:, 1]], dim=1), points())
    torch.testing.assert_close(operators.shear(jacobian), torch.full((40,), 0.09, dtype=torch.float64))


@pytest.mark.parametrize("strength", [1.0, -1.0])
def test_the_modified_level_set_equation_holds_for_a_growing_sphere_with_the_right_sign_alone(strength):
    """φ = |x| - r e^{at} moves with v = a x: a distance at all times only because of the term on the right."""
    a, r, t = 0.4, 0.3, 0.7
    x = points()
    length = x.norm(dim=1)
    sdf, gradient = length - r * math.exp(a * t), x / length[:, None]
    rate = operators.material_derivative(-a * r * math.exp(a * t) * torch.ones_like(length), gradient, a * x)
    stretch = operators.normal_stretch(jacobian_of(lambda y: a * y, x), gradient)
    residual = operators.level_set_residual(rate, sdf, stretch, strength)
    expected = torch.zeros_like(sdf) if strength == 1.0 else 2 * a * sdf
    torch.testing.assert_close(residual, expected)
