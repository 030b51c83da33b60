"""The loops of the CPU agree with the plain grid under autograd in all derivatives, on any number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numba
import pytest
import torch
from known_grids import drawn, small_grid
from torch import Tensor
from torch.testing import assert_close

from neuralfw.errors import UserError
from neuralfw_hashgrid import backends
from neuralfw_hashgrid.backends import cpu, plain

GRIDS = [{}, {"interpolation": "smoothstep"}, {"features": 4}]


def derivatives(backend: Any, options: dict[str, Any], dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Features and pullback with their gradients."""
    grid = small_grid(**options)
    u, table, g, v = drawn(grid, dtype=dtype)
    features = backend.encode(grid, u, table)
    u_bar, table_bar = torch.autograd.grad(features, (u, table), g, retain_graph=True)
    pulled = backend.pullback(grid, u, table, g)
    bends = torch.autograd.grad(pulled, (u, table, g), v)
    names = ("features", "u", "table", "pullback", "pullback in u", "pullback in the table", "pullback in g")
    return dict(zip(names, (features, u_bar, table_bar, pulled, *bends), strict=True))


@pytest.mark.parametrize("options", GRIDS, ids=str)
def test_all_derivatives_are_those_of_autograd(options: dict[str, Any]) -> None:
    found, expected = derivatives(cpu, options), derivatives(plain, options)
    for name, value in expected.items():
        assert_close(found[name], value, rtol=1e-9, atol=1e-8, msg=lambda text, name=name: f"{name}: {text}")


def test_float32_loses_its_rounding_and_no_more() -> None:
    found, exact = derivatives(cpu, {}, torch.float32), derivatives(cpu, {})
    for name, value in exact.items():
        assert found[name].dtype == torch.float32
        assert (found[name] - value).norm() < 2e-5 * value.norm(), name


@pytest.mark.parametrize("options", GRIDS[:2], ids=str)
@pytest.mark.parametrize("backend", [cpu, plain])
def test_finite_differences(backend: Any, options: dict[str, Any]) -> None:
    grid = small_grid(levels=2, log2_table_size=7, base=3, finest=7, **options)
    u, table, g, _ = drawn(grid, count=3)
    assert torch.autograd.gradcheck(lambda *a: backend.encode(grid, *a), (u, table))
    assert torch.autograd.gradcheck(lambda *a: backend.pullback(grid, *a), (u, table, g))


def test_gradients_of_gradients_of_the_features() -> None:
    """Without `pullback`, as a field does that knows nothing of it."""
    grid = small_grid(levels=2, log2_table_size=7, base=3, finest=7)
    u, table, _, _ = drawn(grid, count=3)
    assert torch.autograd.gradgradcheck(lambda *a: cpu.encode(grid, *a), (u, table))


def test_third_derivatives_are_left_to_autograd() -> None:
    def third(backend: Any) -> tuple[Tensor, ...]:
        grid = small_grid(interpolation="smoothstep")
        u, table, g, v = drawn(grid, count=20)
        (second,) = torch.autograd.grad(backend.pullback(grid, u, table, g), u, v, create_graph=True)
        return torch.autograd.grad(second.square().sum(), (u, table, g, v))

    for found, expected in zip(third(cpu), third(plain), strict=True):
        assert_close(found, expected, rtol=1e-9, atol=1e-6)


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="needs two cores")
def test_results_do_not_depend_on_the_number_of_threads(threads: None) -> None:
    torch.set_num_threads(1)
    alone = derivatives(cpu, {}, torch.float32)
    assert torch.get_num_threads() == 1
    torch.set_num_threads(2)
    together = derivatives(cpu, {}, torch.float32)
    for name, value in alone.items():
        assert torch.equal(value, together[name]), name


def test_gradients_accumulate_and_outlive_the_next_ones() -> None:
    grid = small_grid()
    u, table, g, _ = drawn(grid)

    def gradient() -> Tensor:
        return torch.autograd.grad(cpu.encode(grid, u, table), table, g)[0]

    first = gradient()
    kept = first.clone()
    gradient()
    assert torch.equal(first, kept)
    for _ in range(3):
        cpu.encode(grid, u, table).backward(g)
    assert_close(table.grad, 3.0 * kept)
    assert torch.equal(first, kept)


def test_the_memory_of_a_gradient_is_used_again() -> None:
    grid = small_grid()
    u, table, g, _ = drawn(grid)
    places = set()
    for _ in range(4):
        cpu.encode(grid, u, table).backward(g)
        places.add(table.grad.data_ptr())
        table.grad = None
    assert len(places) == 1


def test_a_grid_of_coarse_levels_gives_the_rest_of_the_table_no_gradient() -> None:
    grid = small_grid()
    u, table, g, v = drawn(grid)
    coarse = grid.coarsest(2)
    cpu.encode(grid, u, table).backward(g)
    table.grad = None
    (of_features,) = torch.autograd.grad(cpu.encode(coarse, u, table), table, g[:, :4])
    (of_pullback,) = torch.autograd.grad(cpu.pullback(coarse, u, table, g[:, :4]), table, v)
    for gradient in (of_features, of_pullback):
        assert gradient[: coarse.entries].any()
        assert not gradient[coarse.entries :].any()


def test_what_is_not_asked_for_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = small_grid()
    u, table, g, v = drawn(grid)
    ran: list[str] = []
    run = cpu._run
    monkeypatch.setattr(cpu, "_run", lambda name, *rest: (ran.append(name), run(name, *rest)))
    cpu.encode(grid, u.detach(), table).backward(g)
    assert ran == ["encode", "scatter"]
    cpu.pullback(grid, u.detach(), table, g).backward(v)
    assert ran[2:] == ["pullback", "tangent"]


def test_shapes_without_values() -> None:
    grid = small_grid()
    u, table, g, v = (t.detach().to("meta").requires_grad_() for t in drawn(grid))
    pulled = cpu.pullback(grid, u, table, g)
    gradients = torch.autograd.grad(pulled, (u, table, g), v)
    assert [t.shape for t in gradients] == [u.shape, table.shape, g.shape]


def test_no_points_give_no_gradient_even_in_memory_used_before() -> None:
    grid = small_grid()
    u, table, g, _ = drawn(grid)
    cpu.encode(grid, u, table).backward(g)
    table.grad = None
    cpu.encode(grid, u[:0], table).sum().backward()
    assert not table.grad.any()


@pytest.mark.parametrize(
    ("name", "device", "message"),
    [
        ("cpu", "cuda", "it computes on a CPU and the run is on cuda"),
        ("tinycudann", "cpu", "it needs CUDA and the run is on cpu"),
    ],
)
def test_backends_say_where_they_do_not_work(name: str, device: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        backends.choose(name, torch.device(device))


def test_auto_takes_what_fits_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    assert backends.choose("auto", torch.device("cpu"))[0] == "cpu"
    for spec, expected in ((None, "torch"), (object(), "tinycudann")):
        monkeypatch.setattr(backends.importlib.util, "find_spec", lambda _, spec=spec: spec)
        assert backends.choose("auto", torch.device("cuda"))[0] == expected
        assert backends.choose("auto", torch.device("cuda"), width=256)[0] == "torch"
    with monkeypatch.context() as patch, pytest.raises(UserError, match="pip install"):
        patch.setattr(backends.importlib.util, "find_spec", lambda _: None)
        backends.choose("tinycudann", torch.device("cuda"))
