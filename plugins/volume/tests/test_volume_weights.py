"""Optical depths and weights against the papers' formulas, closed forms and numerical integrals."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from neuralfw_volume.weights import composite, neus_depth, volsdf_depth

finite = st.floats(-2.0, 2.0)


def line(values: list[float]) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


def test_neus_is_the_formula_of_the_paper() -> None:
    """Eq. 13: α = max(0, (Φ(f₁) - Φ(f₂)) / Φ(f₁)), with Φ the sigmoid of s f; w = α Π (1 - α)."""
    f, s = line([0.5, 0.2, -0.1, -0.3, -0.2, 0.4, 0.1]), 7.0
    phi = torch.sigmoid(s * f)
    alpha = ((phi[:, :-1] - phi[:, 1:]) / phi[:, :-1]).clamp_min(0.0)
    expected = alpha * torch.cat([torch.ones(1, 1).double(), (1.0 - alpha).cumprod(dim=1)[:, :-1]], dim=1)
    seen = composite(neus_depth(f[:, :-1], f[:, 1:], s))
    torch.testing.assert_close(seen.weights, expected)
    torch.testing.assert_close(seen.alpha, expected.sum(dim=1))


@pytest.mark.parametrize("cosine", [1.0, 0.3])
def test_neus_weighs_the_surface_most_whatever_the_slope(cosine: float) -> None:
    """Unbiased: the weight along a ray through a plane is largest where the distance is 0 (§3.1)."""
    t = torch.linspace(0.0, 2.0, 20_001, dtype=torch.float64)
    f = cosine * (1.0 - t)[None]
    weights = composite(neus_depth(f[:, :-1], f[:, 1:], 30.0)).weights[0]
    assert float(0.5 * (t[:-1] + t[1:])[weights.argmax()]) == pytest.approx(1.0, abs=1e-3)


def test_opacity_of_neus_is_that_of_the_least_distance() -> None:
    """Sections of a ray that comes near and leaves again multiply to Φ(least) / Φ(first), however many they are."""
    s = 40.0
    for count in (5, 50):
        f = (torch.linspace(-1.0, 1.0, 2 * count + 1, dtype=torch.float64).square() + 0.1)[None]
        seen = composite(neus_depth(f[:, :-1], f[:, 1:], s))
        share = torch.sigmoid(torch.tensor(0.1 * s)) / torch.sigmoid(torch.tensor(1.1 * s))
        assert float(seen.alpha) == pytest.approx(1.0 - float(share), rel=1e-5)
        assert float(seen.logit) == pytest.approx(-0.1 * s, rel=1e-2)


def test_the_logit_is_exact_where_opacities_round() -> None:
    seen = composite(torch.tensor([[1e-20], [60.0]]))
    torch.testing.assert_close(seen.logit, torch.tensor([-46.0517, 60.0]), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("before", "after"), [(0.3, -0.2), (-0.2, 0.3), (0.2, 0.1), (-0.1, -0.4), (0.1, 0.1), (0.1, 0.1001)]
)
def test_volsdf_is_the_integral_of_its_density(before: float, after: float) -> None:
    beta, length = 0.05, 0.7
    f = torch.linspace(before, after, 200_001, dtype=torch.float64)
    tail = 0.5 * torch.exp(-f.abs() / beta)
    density = torch.where(f > 0, tail, 1.0 - tail) / beta
    depth = volsdf_depth(line([before]), line([after]), line([length]), beta)
    assert float(depth) == pytest.approx(float(torch.trapezoid(density)) / 200_000 * length, rel=1e-5)


@pytest.mark.parametrize("kind", ["neus", "volsdf"])
def test_a_surface_in_one_long_section_is_not_missed(kind: str) -> None:
    f = line([0.9, 0.4, -0.1, -0.6])
    if kind == "neus":
        seen = composite(neus_depth(f[:, :-1], f[:, 1:], 1e4))
    else:
        seen = composite(volsdf_depth(f[:, :-1], f[:, 1:], torch.full((1, 3), 0.5).double(), 1e-4))
    torch.testing.assert_close(seen.weights, line([0.0, 1.0, 0.0]), atol=1e-6, rtol=0)


@given(st.lists(finite, min_size=3, max_size=12), st.floats(0.1, 1e4))
def test_weights_are_shares(values: list[float], sharpness: float) -> None:
    f = line(values)
    before, after, length = f[:, :-1], f[:, 1:], torch.full_like(f[:, 1:], 0.1)
    for depths in (neus_depth(before, after, sharpness), volsdf_depth(before, after, length, 1.0 / sharpness)):
        seen = composite(depths)
        assert bool((depths >= 0.0).all()) and bool((seen.weights >= 0.0).all())
        assert float(seen.weights.sum()) <= 1.0 + 1e-12
        torch.testing.assert_close(seen.weights.sum(dim=1), seen.alpha, atol=1e-12, rtol=1e-9)


@given(st.lists(finite, min_size=3, max_size=8), st.floats(0.5, 50.0))
def test_gradients(values: list[float], sharpness: float) -> None:
    """Against finite differences, away from where the distance is level: there NeuS has a kink."""
    f = line(values)
    if float(f.diff(dim=1).abs().min()) < 1e-2:
        return
    f.requires_grad_(True)
    s = torch.tensor(sharpness, dtype=torch.float64, requires_grad=True)
    length = torch.full((1, len(values) - 1), 0.3, dtype=torch.float64)

    def neus(f: Tensor, s: Tensor) -> Tensor:
        return composite(neus_depth(f[:, :-1], f[:, 1:], s)).weights

    def volsdf(f: Tensor, s: Tensor) -> Tensor:
        return composite(volsdf_depth(f[:, :-1], f[:, 1:], length, 1.0 / s)).weights

    assert torch.autograd.gradcheck(neus, (f, s), atol=1e-5, rtol=1e-3)
    assert torch.autograd.gradcheck(volsdf, (f, s), atol=1e-4, rtol=1e-3)
