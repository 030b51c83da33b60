"""Layers and networks with a bound: scaled as written, the bound true of every pair of inputs, its gradient exact."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from neuralfw.nn import Mlp
from neuralfw_lipschitz.layer import SPEED, LipschitzLinear, log_bound

ACTIVATIONS = ["softplus", "relu", "tanh", "silu", "sine"]


def number(value: Tensor) -> float:
    return float(value.detach())


def layer(rows: int, columns: int, seed: int, *, norm: str = "inf", bound: str = "exp") -> LipschitzLinear:
    random = torch.Generator().manual_seed(seed)
    made = LipschitzLinear(columns, rows, False, norm=norm, bound=bound).double()
    made.assign(torch.randn(rows, columns, generator=random, dtype=torch.float64), torch.zeros(rows).double())
    return made


def network(seed: int = 0, *, norm: str = "inf", bound: str = "exp", shrink: float = 0.0, **options: object) -> Mlp:
    """A small network in float64, the logarithms of its layers' bounds lowered by `shrink`."""
    given = {"width": 24, "layers": 3, **options}
    random = torch.Generator().manual_seed(seed)
    mlp = Mlp(
        4, 2, **given, generator=random, linear=lambda i, o, w: LipschitzLinear(i, o, w, norm=norm, bound=bound)
    ).double()  # type: ignore[arg-type]
    with torch.no_grad():
        for linear in mlp.linears():
            assert isinstance(linear, LipschitzLinear)
            lowered = linear.bound() * math.exp(-shrink)
            linear.raw_bound.copy_(lowered.log() / SPEED if bound == "exp" else torch.expm1(lowered).log())
    return mlp


def independently(weight: np.ndarray, k: float, norm: str) -> np.ndarray:
    """The normalisation of LipMLP, row by row in numpy; for the norm of sums, of the transpose."""
    rows = weight if norm == "inf" else weight.T
    scaled = np.array([row * min(1.0, k / sum(abs(c) for c in row)) if any(row) else row for row in rows])
    return scaled if norm == "inf" else scaled.T


@pytest.mark.parametrize("norm", ["inf", "one"])
@pytest.mark.parametrize("bound", ["exp", "softplus"])
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), share=st.floats(0.05, 1.5), rows=st.integers(1, 9), columns=st.integers(1, 9))
def test_the_weight_is_that_of_an_independent_implementation(
    norm: str, bound: str, seed: int, share: float, rows: int, columns: int
) -> None:
    made = layer(rows, columns, seed, norm=norm, bound=bound)
    with torch.no_grad():
        made.weight[0] = 0.0  # a row of nothing stays one
        made.raw_bound *= share
        raw = number(made.raw_bound)
        k = math.exp(SPEED * raw) if bound == "exp" else math.log1p(math.exp(raw))
        found = made.effective_weight().numpy()
    assert number(made.bound()) == pytest.approx(k)
    np.testing.assert_allclose(found, independently(made.weight.detach().numpy(), k, norm), rtol=1e-12)
    assert np.linalg.norm(found, np.inf if norm == "inf" else 1) <= k * (1 + 1e-12)


@pytest.mark.parametrize("bound", ["exp", "softplus"])
def test_nothing_is_scaled_at_first_and_no_row_below_the_bound_ever(bound: str) -> None:
    made = layer(5, 7, 3, bound=bound)
    torch.testing.assert_close(made.effective_weight(), made.weight, rtol=1e-12, atol=0.0)
    sizes = made.weight.abs().sum(dim=1)
    with torch.no_grad():
        made.raw_bound -= 0.3 if bound == "softplus" else 0.1 / SPEED
    below = sizes < made.bound()
    assert below.any() and not below.all()
    torch.testing.assert_close(made.effective_weight()[below], made.weight[below], rtol=0.0, atol=0.0)


@pytest.mark.parametrize("norm", ["inf", "one"])
def test_a_loss_of_the_outputs_reaches_the_bound_only_through_what_is_scaled(norm: str) -> None:
    made = layer(5, 7, 3, norm=norm)
    random = torch.randn(5, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for shift, reached in ((0.5, False), (-0.5, True)):
        with torch.no_grad():
            made.raw_bound += shift
        (gradient,) = torch.autograd.grad((made.effective_weight() * random).sum(), made.raw_bound)
        assert (abs(number(gradient)) > 1e-9) == reached
        with torch.no_grad():
            made.raw_bound -= shift


def test_weights_without_length_have_finite_gradients() -> None:
    made = layer(3, 4, 0, norm="one")
    with torch.no_grad():
        made.weight[:, 1:] = 0.0
    made.effective_weight().sum().backward()  # type: ignore[no-untyped-call]
    assert made.weight.grad is not None and made.weight.grad.isfinite().all()
    assert made.raw_bound.grad is not None and made.raw_bound.grad.isfinite()


@pytest.mark.parametrize("norm", ["inf", "one"])
@pytest.mark.parametrize("skip", [(), (1, 2)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31), shrink=st.floats(0.0, 3.0), reach=st.sampled_from([1e-4, 0.1, 3.0]))
def test_no_pair_of_inputs_exceeds_the_bound(
    norm: str, skip: tuple[int, ...], activation: str, seed: int, shrink: float, reach: float
) -> None:
    mlp = network(seed, norm=norm, shrink=shrink, skip=skip, activation=activation, omega=3.0, beta=10.0)
    random = torch.Generator().manual_seed(seed)
    u, step = torch.randn(2, 64, 4, generator=random, dtype=torch.float64).unbind()
    v = u + reach * step
    order = float("inf") if norm == "inf" else 1
    bound = math.exp(number(log_bound(mlp, norm)))
    with torch.no_grad():
        ratios = (mlp(u) - mlp(v)).norm(p=order, dim=1) / (u - v).norm(p=order, dim=1)
    assert float(ratios.max()) <= bound * (1 + 1e-9)
    _, gradient = mlp.value_and_pullback(u)  # the steepest direction of channel 0
    dual = gradient.norm(p=1 if norm == "inf" else float("inf"), dim=1)
    assert number(dual.max()) <= bound * (1 + 1e-9)


@pytest.mark.parametrize("norm", ["inf", "one"])
def test_the_bound_is_met_by_a_network_that_is_steep_everywhere(norm: str) -> None:
    mlp = network(norm=norm, activation="relu", width=1, layers=2)
    with torch.no_grad():
        for linear in mlp.linears():
            linear.assign(2.0 * torch.ones_like(linear.weight), torch.ones_like(linear.bias))
    u = torch.ones(1, 4, dtype=torch.float64)
    v = u + 1.0 if norm == "inf" else u + torch.tensor([1.0, 0.0, 0.0, 0.0])
    order = float("inf") if norm == "inf" else 1
    found = (mlp(v) - mlp(u)).norm(p=order) / (v - u).norm(p=order)
    assert number(found) == pytest.approx(math.exp(number(log_bound(mlp, norm))))


def test_the_steepest_slope_of_each_activation_is_reached_and_not_exceeded() -> None:
    z = torch.linspace(-6.0, 6.0, 240_001, dtype=torch.float64)
    for name in ACTIVATIONS:
        activation = network(activation=name).activation
        slope = activation.slope(activation.evaluate(z[:, None])).abs().max()
        assert float(slope) == pytest.approx(activation.steepest, rel=1e-7)
        assert float(slope) <= activation.steepest


@pytest.mark.parametrize("norm", ["inf", "one"])
@pytest.mark.parametrize("bound", ["exp", "softplus"])
@pytest.mark.parametrize("skip", [(), (2,)])
def test_the_gradient_of_the_bound_is_that_of_finite_differences(norm: str, bound: str, skip: tuple[int, ...]) -> None:
    mlp = network(norm=norm, bound=bound, skip=skip, shrink=0.5)
    raw = [linear.raw_bound for linear in mlp.linears()]
    found = torch.autograd.grad(log_bound(mlp, norm), raw)
    for parameter, gradient in zip(raw, found, strict=True):
        values = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                parameter += step
                values.append(number(log_bound(mlp, norm)))
                parameter -= step
        assert number(gradient) == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-6)


@pytest.mark.parametrize("bound", ["exp", "softplus"])
def test_a_loss_of_value_and_gradient_has_the_gradient_of_finite_differences(bound: str) -> None:
    """Through the sweeps, the scaling and the bound, where rows are scaled."""
    mlp = network(bound=bound, shrink=0.7, beta=5.0, skip=(2,))
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def loss() -> Tensor:
        out, gradient = mlp.value_and_pullback(x)
        return out.square().sum() + (gradient.norm(dim=1) - 1.0).square().sum()

    parameters = [p for linear in mlp.linears() for p in (linear.raw_bound, linear.weight)]
    found = torch.autograd.grad(loss(), parameters)
    for parameter, gradient in zip(parameters, found, strict=True):
        direction = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        values = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                parameter += step * direction
                values.append(number(loss()))
                parameter -= step * direction
        assert number((gradient * direction).sum()) == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(("layers", "width"), [(1, 8), (4, 8), (9, 8), (4, 64)])
def test_every_layer_feels_the_same_relative_pull_whatever_depth_and_width(layers: int, width: int) -> None:
    mlp = network(layers=layers, width=width)
    raw = [linear.raw_bound for linear in mlp.linears()]
    gradients = torch.autograd.grad(log_bound(mlp, "inf"), raw)
    assert [number(g) for g in gradients] == pytest.approx([SPEED] * (layers + 1))
