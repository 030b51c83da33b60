"""The vector type of the kernels does lane by lane what NumPy does."""

from __future__ import annotations

from typing import Any, no_type_check

import numpy as np
import pytest
from numba import njit

from neuralfw.prefetch import prefetch
from neuralfw_gaussians.kernels import vector as v

A, B = np.random.default_rng(0).normal(size=(2, v.LANES)).astype(np.float32)


@njit
@no_type_check
def _arithmetic(a, b, out):
    x, y = v.load(a, 0), v.load(b, 0)
    v.store(out, 0, x + y * 2.0 - 1.5 / y)
    v.store(out, v.LANES, v.select(v.both(x > y, x <= v.full(1.0)), x, y))
    v.store(out, 2 * v.LANES, v.smaller(x, v.absolute(y)) + v.steps())
    return v.total(x), v.some(x > v.full(100.0)), v.some(x < y)


def test_operators_act_lane_by_lane() -> None:
    out = np.empty(3 * v.LANES, np.float32)
    total, none, some = _arithmetic(A, B, out)
    expected = [
        A + 2 * B - 1.5 / B,
        np.where((A > B) & (A <= 1.0), A, B),
        np.minimum(A, np.abs(B)) + np.arange(v.LANES),
    ]
    np.testing.assert_allclose(out.reshape(3, -1), expected, rtol=1e-5, atol=1e-6)
    assert total == pytest.approx(A.sum(dtype=np.float64), abs=1e-5)
    assert (none, some) == (False, bool((A < B).any()))


@njit
@no_type_check
def _exp2(values, out):
    for at in range(0, len(values), v.LANES):
        v.store(out, at, v.exp2(v.load(values, at)))


@pytest.mark.parametrize(("low", "high"), [(-126.0, 126.0), (-8.0, 0.0), (-0.5, 0.5)])
def test_exp2_is_accurate(low: float, high: float) -> None:
    values = np.linspace(low, high, 160 * v.LANES, dtype=np.float32)
    out = np.empty_like(values)
    _exp2(values, out)
    np.testing.assert_allclose(out, np.exp2(values.astype(np.float64)), rtol=4e-7)


def test_exp2_of_very_small_numbers_is_tiny() -> None:
    values = np.full(v.LANES, -1e30, np.float32)
    out: Any = np.empty_like(values)
    _exp2(values, out)
    assert (out >= 0.0).all() and (out < 2e-38).all()


@njit
@no_type_check
def _unaligned(values, out):
    prefetch(values.reshape(2, -1), 1)
    v.store(out, 3, v.load(values, 5))


def test_load_and_store_at_any_index() -> None:
    values, out = np.arange(40, dtype=np.float32), np.zeros(40, np.float32)
    _unaligned(values, out)
    np.testing.assert_array_equal(out[3 : 3 + v.LANES], values[5 : 5 + v.LANES])
    assert (out[:3] == 0).all() and (out[3 + v.LANES :] == 0).all()
