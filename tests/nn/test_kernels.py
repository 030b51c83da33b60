"""The fused passes against their torch twins in float64; how a kernel is chosen and built."""

import stat

import pytest
import torch

from neuralfw.errors import UserError
from neuralfw.nn import Mlp, kernels
from neuralfw.nn.activations import NAMES, Activated, Activation

TOLERANCE = {torch.float32: 4e-6, torch.bfloat16: 2**-8}


@pytest.fixture(scope="module")
def cpp():
    if not kernels.chosen().startswith("cpp"):
        pytest.skip(f"no C++ kernel here: {kernels.chosen()}")
    return kernels.choose("cpp")


@pytest.fixture
def fresh_choice(monkeypatch, tmp_path):
    """As if nothing had been built yet, with an empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kernels._built.cache_clear()
    yield tmp_path / "neuralfw"
    kernels._built.cache_clear()


def normal(seed, shape=(300, 40), scale=1.0, dtype=torch.float32):
    return (scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))).to(dtype)


def assert_close(got, expected, factor=1.0):
    """Relative to the largest expected value: bfloat16 results are rounded once."""
    error, largest = (got.double() - expected).abs().max(), expected.abs().max()
    assert error <= factor * TOLERANCE[got.dtype] * largest, f"{error:.2e} of {largest:.2e}"


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("scale", [1e-3, 0.1, 3.0])
@pytest.mark.parametrize("name", NAMES)
def test_passes_equal_their_twins(cpp, name, scale, dtype):
    activation, torch_kernel = Activation(name, beta=100.0, omega=3.0), kernels.TorchKernel()
    z, bias, a = normal(0, scale=scale, dtype=dtype), normal(1, (40,), scale), normal(2, dtype=dtype)
    expected = torch_kernel.evaluate(activation, z.double(), bias.double())
    assert_close(cpp.value(activation, z.clone(), bias), expected.value)
    at = cpp.evaluate(activation, z.clone(), bias)
    assert torch.equal(at.value, cpp.value(activation, z.clone(), bias))
    assert_close(at.auxiliary, expected.auxiliary)

    exact = Activated(at.value.double(), at.auxiliary.double())
    g = cpp.scale(activation, at, a)
    assert_close(g, torch_kernel.scale(activation, exact, a.double()))
    row = a[0].expand_as(a)
    assert_close(cpp.scale(activation, at, row), torch_kernel.scale(activation, exact, row.double()))
    dots, c = cpp.tangent(activation, at, z.clone(), g)
    assert_close(dots, torch_kernel.scale(activation, exact, z.double()))
    curvature = activation.bend(exact) * activation.slope(exact)
    assert_close(c, curvature * z.double() * a.double(), factor=2)
    for c_or_none in (z, None):
        z_bar, sums = cpp.adjoint(activation, at, a.clone(), c_or_none)
        c64 = None if c_or_none is None else z.double()
        expected_bar, expected_sums = torch_kernel.adjoint(activation, exact, a.double(), c64)
        assert_close(z_bar, expected_bar)
        torch.testing.assert_close(sums.double(), expected_sums, rtol=1e-4, atol=1e-4 * float(expected_bar.abs().max()))


@pytest.mark.parametrize("name", NAMES)
def test_nan_is_not_hidden(cpp, name):
    z = torch.full((3, 40), float("nan"))
    at = cpp.evaluate(Activation(name), z, torch.zeros(40))
    assert at.value.isnan().all()


def test_saturated_softplus_has_no_denormals(cpp):
    """They would slow every later product down a hundredfold."""
    z = torch.full((4, 40), -3.0)
    at = cpp.evaluate(Activation("softplus"), z, torch.zeros(40))
    smallest = torch.finfo(torch.float32).tiny
    assert (at.value > smallest).all() and (at.auxiliary > smallest).all() and (at.value < 1e-15).all()


def test_elements_do_not_depend_on_the_number_of_threads(cpp):
    threads = torch.get_num_threads()
    activation, results = Activation("softplus"), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            at = cpp.evaluate(activation, normal(0, (1001, 40)), normal(1, (40,)))
            results.append(cpp.adjoint(activation, at, normal(2, (1001, 40)), None))
    finally:
        torch.set_num_threads(threads)
    for z_bar, sums in results[1:]:
        assert torch.equal(z_bar, results[0][0])
        torch.testing.assert_close(sums, results[0][1], rtol=1e-4, atol=1e-4)


def test_double_precision_is_left_to_torch(cpp):
    activation, z = Activation("softplus"), normal(0, dtype=torch.float64)
    expected = kernels.TorchKernel().value(activation, z.clone(), torch.zeros(40, dtype=torch.float64))
    assert torch.equal(cpp.value(activation, z, torch.zeros(40, dtype=torch.float64)), expected)


def test_torch_needs_no_compiler():
    assert type(kernels.choose("torch")) is kernels.TorchKernel


def test_without_a_compiler_auto_is_torch_and_says_why(fresh_choice, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert type(kernels.choose("auto")) is kernels.TorchKernel
    assert kernels.chosen() == "torch (no C++ compiler found (looked for no-such-compiler))"
    with pytest.raises(UserError, match="no-such-compiler"):
        kernels.choose("cpp")


def test_a_failing_compiler_is_reported(fresh_choice, monkeypatch, tmp_path):
    script = tmp_path / "broken"
    script.write_text('#!/bin/sh\ncase "$*" in *-dM*) exit 0;; esac\necho "fatal error: no space" >&2\nexit 1\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CXX", str(script))
    assert type(kernels.choose("auto")) is kernels.TorchKernel
    assert "fatal error: no space" in kernels.chosen()
    assert list(fresh_choice.iterdir()) == []


def test_an_unwritable_cache_is_reported(cpp, fresh_choice):
    fresh_choice.write_text("a file where the folder should be")
    assert type(kernels.choose("auto")) is kernels.TorchKernel
    assert str(fresh_choice) in kernels.chosen()


def test_builds_once_and_only_when_used(cpp, fresh_choice):
    net = Mlp(3, 1, width=8, layers=2)
    assert not fresh_choice.exists()
    net(torch.zeros(5, 3))
    (library,) = fresh_choice.iterdir()
    built = library.stat().st_mtime_ns
    kernels._built.cache_clear()
    net(torch.zeros(5, 3))
    assert [path.stat().st_mtime_ns for path in fresh_choice.iterdir()] == [built]


@pytest.mark.parametrize(("option", "value"), [("kernel", "numba"), ("precision", "fp16")])
def test_unknown_choices_are_refused(option, value):
    with pytest.raises(UserError, match=value):
        Mlp(3, 1, width=8, layers=2, **{option: value})
