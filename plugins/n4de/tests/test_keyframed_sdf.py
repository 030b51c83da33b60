"""A distance with a field for each moment: exact at moments, blended between them, its rate the difference."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from neuralfw.moments import blended
from neuralfw.testing import build_component

OPTIONS = {"moments": 3, "of": {"type": "mlp_sdf", "width": 16, "layers": 2, "features": 2}}
ALL = frozenset({"sdf", "sdf_gradient", "sdf_time_derivative", "feature"})


def test_shares_are_those_of_linear_interpolation() -> None:
    weights, rates = blended(torch.tensor([0.0, 0.25, 0.5, 0.9, 1.0]), 3)
    expected = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.2, 0.8], [0.0, 0.0, 1.0]]
    assert_close(weights, torch.tensor(expected))
    assert_close(rates, torch.tensor([[-2.0, 2.0, 0.0], [-2.0, 2.0, 0.0], *[[0.0, -2.0, 2.0]] * 3]))


def test_at_a_moment_it_is_that_moment_s_field() -> None:
    field = build_component("field", "keyframed_sdf", OPTIONS)
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    for index, t in enumerate((0.0, 0.5, 1.0)):
        found = field(x, torch.full((20,), t), want=ALL - {"sdf_time_derivative"})
        for quantity, value in field.of[index](x, want=ALL - {"sdf_time_derivative"}).items():
            assert_close(found[quantity], value)


def test_derivatives_are_those_of_differences() -> None:
    field = build_component("field", "keyframed_sdf", OPTIONS).double()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    t = torch.rand(20, generator=generator, dtype=torch.float64)
    found = field(x, t, want=ALL)
    e = 1e-6

    def value(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return field(x, t)["sdf"]  # type: ignore[no-any-return]

    assert_close(found["sdf_time_derivative"], (value(x, t + e) - value(x, t - e)) / (2 * e), rtol=1e-5, atol=1e-7)
    for axis in range(3):
        step = e * torch.eye(3, dtype=torch.float64)[axis]
        slope = (value(x + step, t) - value(x - step, t)) / (2 * e)
        assert_close(found["sdf_gradient"][:, axis], slope, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("moment", range(3))
def test_a_moment_leaves_the_others_alone(moment: int) -> None:
    """They receive no gradient at all, so that an optimiser does not move them either."""
    field = build_component("field", "keyframed_sdf", OPTIONS)
    field(torch.ones(4, 3), torch.full((4,), moment / 2))["sdf"].sum().backward()
    for index, of in enumerate(field.of):
        assert [p.grad is not None for p in of.parameters()] == [index == moment] * len([*of.parameters()])
