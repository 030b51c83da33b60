"""The adapter asks tiny-cuda-nn for the same grid and lets it work on the encoder's table; on CUDA they agree."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from types import ModuleType
from typing import Any, ClassVar

import pytest
import torch
from known_grids import drawn, small_grid
from torch import Tensor, nn
from torch.testing import assert_close

from neuralfw_hashgrid.backends import load, plain


class Encoding(nn.Module):
    """tiny-cuda-nn's module as far as it is used, over the plain grid."""

    made: ClassVar[list[dict[str, Any]]] = []

    def __init__(self, n_input_dims: int, encoding_config: dict[str, Any], dtype: torch.dtype) -> None:
        super().__init__()
        assert n_input_dims == 3 and dtype == torch.float32
        Encoding.made.append(encoding_config)
        self._grid = small_grid()
        self.params = nn.Parameter(torch.zeros(self._grid.entries * 2))

    def forward(self, u: Tensor) -> Tensor:
        assert len(u)
        return plain.encode(self._grid, u, self.params.view(-1, 2))


@pytest.fixture
def adapter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    module = ModuleType("tinycudann")
    module.Encoding = Encoding  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tinycudann", module)
    monkeypatch.delitem(sys.modules, "neuralfw_hashgrid.backends.tinycudann", raising=False)
    yield load("tinycudann")
    sys.modules.pop("neuralfw_hashgrid.backends.tinycudann")


def test_it_asks_for_the_same_grid_once(adapter: Any) -> None:
    Encoding.made.clear()
    grid = small_grid()
    u, table, _, _ = drawn(grid)
    adapter.encode(grid, u, table)
    adapter.encode(grid, u, table)
    assert Encoding.made == [{
        "otype": "HashGrid", "n_levels": 5, "n_features_per_level": 2, "log2_hashmap_size": 10, "base_resolution": 4,
        "per_level_scale": pytest.approx(2.0), "interpolation": "Linear",
    }]  # fmt: skip


def test_it_works_on_the_encoders_table(adapter: Any) -> None:
    grid = small_grid()
    u, table, g, v = drawn(grid)
    pulled, expected = (b.pullback(grid, u, table, g) for b in (adapter, plain))
    assert_close(pulled, expected)
    gradients = (torch.autograd.grad(p, (u, table, g), v) for p in (pulled, expected))
    assert_close(*gradients)
    assert adapter.encode(grid, u[:0], table).shape == (0, 10)


needs_cuda = pytest.mark.skipif(
    not torch.cuda.is_available() or find_spec("tinycudann") is None, reason="needs tinycudann and CUDA"
)
COUNTS = [1000, 1024]  # tiny-cuda-nn pads batches to 256


@needs_cuda
@pytest.mark.parametrize("options", [{}, {"interpolation": "smoothstep"}, {"features": 4}], ids=str)
@pytest.mark.parametrize("count", COUNTS)
def test_on_cuda_it_agrees_with_the_plain_grid(options: dict[str, Any], count: int) -> None:
    for name, ours, theirs in _compared(small_grid(**options), count):
        error = ((theirs - ours).norm() / ours.norm()).item()
        assert error < 1e-4, (name, error)


@needs_cuda
@pytest.mark.parametrize("count", COUNTS)
def test_on_cuda_sizes_that_rounding_could_change_are_those_of_the_plain_grid(count: int) -> None:
    """Its levels are 1e-6 off where they do not double, so that some points lie beyond the face of a cell."""
    for name, ours, theirs in _compared(small_grid(base=16, finest=1024, levels=16), count):
        if len(ours) == count:
            moved = (theirs - ours).norm(dim=1) > 0.02 * ours.norm(dim=1)
            assert moved.float().mean() < 0.03, name
        else:
            assert (theirs - ours).norm() < 0.15 * ours.norm(), name


def _compared(grid: Any, count: int) -> Iterator[tuple[str, Tensor, Tensor]]:
    u, table, g, v = (t.detach().cuda().requires_grad_() for t in drawn(grid, count=count, dtype=torch.float32))
    ours, theirs = (_derivatives(b, grid, u, table, g, v) for b in (plain, load("tinycudann")))
    for name, value in ours.items():
        yield name, value, theirs[name]


def _derivatives(backend: Any, grid: Any, u: Tensor, table: Tensor, g: Tensor, v: Tensor) -> dict[str, Tensor]:
    features, pulled = backend.encode(grid, u, table), backend.pullback(grid, u, table, g)
    of_features = torch.autograd.grad(features, (u, table), g, retain_graph=True)
    of_pulled = torch.autograd.grad(pulled, (u, table, g), v)
    (frozen,) = torch.autograd.grad(backend.pullback(grid, u, table.detach(), g.detach()), u, v)
    names = (
        "features",
        "pulled",
        "features in u",
        "features in table",
        "pulled in u",
        "pulled in table",
        "pulled in g",
    )
    found = dict(zip(names, (features, pulled, *of_features, *of_pulled), strict=True))
    return found | {"pulled in u, the rest held": frozen}
