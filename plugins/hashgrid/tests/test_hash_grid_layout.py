"""Levels, rows and the places of vertices are those of the Instant-NGP specification."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
import torch
from known_grids import drawn, small_grid
from pydantic import ValidationError

from neuralfw_hashgrid.backends import cpu, plain
from neuralfw_hashgrid.config import HashGridConfig
from neuralfw_hashgrid.grid import Grid

N4DE = [64, 96, 144, 216, 324, 486, 729, 1094, 1641, 2461, 3691, 5536, 8304, 12456, 18684, 28026]
NGP = [16, 23, 31, 43, 59, 81, 112, 154, 213, 295, 407, 562, 776, 1073, 1482, 2048]


@pytest.mark.parametrize(
    ("options", "resolutions", "dense", "entries"),
    [
        ({"base": 64, "growth": 1.5, "features": 8}, N4DE, 1, 8_126_464),
        ({"growth": 1.3819}, NGP, 5, 6_098_120),
        ({"finest": 2048}, [*NGP[:12], 777, 1073, 1483, 2048], 5, 6_098_120),
    ],
)
def test_published_grids(options: dict[str, float], resolutions: list[int], dense: int, entries: int) -> None:
    grid = Grid.of(HashGridConfig(**options))
    assert [level.resolution for level in grid.levels] == resolutions
    assert [level.hashed for level in grid.levels] == [False] * dense + [True] * (16 - dense)
    assert grid.entries == entries


def test_levels_follow_one_another_at_multiples_of_eight() -> None:
    levels = Grid.of(HashGridConfig()).levels
    assert levels[0].offset == 0
    assert all(b.offset == a.offset + a.entries for a, b in pairwise(levels))
    assert all(level.offset % 8 == 0 for level in levels)


def by_hand(resolution: int, entries: int, offset: int, x: int, y: int, z: int) -> int:
    """The row of a vertex, as the specification words it: unsigned 32 bit products, xor, remainder."""
    if entries >= resolution**3:
        return offset + (x + y * resolution + z * resolution**2) % entries
    return offset + ((x * 1) ^ (y * 2654435761 % 2**32) ^ (z * 805459861 % 2**32)) % entries


def test_rows_by_hand() -> None:
    grid = Grid.of(HashGridConfig(base=64, growth=1.5, log2_table_size=19))
    random = torch.Generator().manual_seed(0)
    tops = torch.tensor([level.resolution for level in grid.levels])[:, None]
    cells = (torch.rand(50, 16, 3, generator=random) * tops).long()
    rows = plain.rows(grid, cells)
    for n, k in product(range(50), range(16)):
        level, (x, y, z) = grid.levels[k], cells[n, k].tolist()
        corners = [(x + a, y + b, z + c) for c, b, a in product((0, 1), repeat=3)]
        expected = [by_hand(level.resolution, level.entries, level.offset, *corner) for corner in corners]
        assert rows[n, k].tolist() == expected


@pytest.mark.parametrize("backend", [cpu, plain])
def test_a_vertex_reads_its_own_row(backend: object) -> None:
    grid = small_grid()
    _, table, _, _ = drawn(grid)
    for k, level in enumerate(grid.levels):
        vertices = torch.tensor([[1, 1, 1], [2, 1, 3], [3, 3, 2], [1, 2, 1]])
        u = (vertices.double() - 0.5) / level.scale
        features = backend.encode(grid, u, table)[:, 2 * k : 2 * k + 2]
        rows = [by_hand(level.resolution, level.entries, level.offset, *v) for v in vertices.tolist()]
        torch.testing.assert_close(features, table[rows], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("interpolation", ["linear", "smoothstep"])
@pytest.mark.parametrize("backend", [cpu, plain])
def test_between_vertices_features_go_over_as_the_option_says(backend: object, interpolation: str) -> None:
    grid = small_grid(levels=1, base=6, interpolation=interpolation)
    scale = grid.levels[0].scale
    table = torch.zeros(grid.entries, 2, dtype=torch.float64)
    vertex = torch.arange(6**3)
    places = torch.stack([vertex % 6, vertex // 6 % 6, vertex // 36], dim=1)
    table[vertex, 0] = (places.double() @ torch.tensor([1.0, 10.0, 100.0], dtype=torch.float64)).double()
    u = drawn(grid, count=20)[0].detach() * (4.5 / scale)
    features = backend.encode(grid, u, table)
    y = scale * u + 0.5
    cell, f = y.floor(), y.frac()
    f = f if interpolation == "linear" else f**2 * (3.0 - 2.0 * f)
    expected = (cell + f) @ torch.tensor([1.0, 10.0, 100.0], dtype=torch.float64)
    torch.testing.assert_close(features[:, 0], expected)


@pytest.mark.parametrize("backend", [cpu, plain])
def test_at_the_far_corner_rows_wrap_around(backend: object) -> None:
    grid = small_grid(levels=1, base=4)
    _, table, _, _ = drawn(grid)
    found = backend.encode(grid, torch.ones(1, 3, dtype=torch.float64), table)
    corners = [by_hand(4, 64, 0, 3 + a, 3 + b, 3 + c) for c, b, a in product((0, 1), repeat=3)]
    torch.testing.assert_close(found[0], table[corners].mean(dim=0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"finest": 8}, "finest must be at least base, found 8 < 16"),
        ({"growth": 4.0}, "16 levels that grow by 4.0 exceed"),
        ({"features": 3}, "features"),
    ],
)
def test_grids_that_cannot_be_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        HashGridConfig(**options)
