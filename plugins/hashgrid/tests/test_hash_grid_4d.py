"""Time as an axis of the grids."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from neuralfw.errors import UserError
from neuralfw.testing import build_component, build_scene, check_encoder
from neuralfw_hashgrid.backends import plain
from neuralfw_hashgrid.config import HashGridConfig
from neuralfw_hashgrid.grid import Grid

SMALL = {"dimensions": 4, "levels": 3, "log2_table_size": 10, "base": 3, "finest": 12}


@pytest.mark.parametrize("more", [{}, {"interpolation": "smoothstep", "time_span": 0.25}, {"size": 2.0}], ids=str)
def test_it_keeps_the_contract(more: dict[str, object]) -> None:
    encoder = build_component("encoder", "hash_grid", {**SMALL, **more})
    encoder.table.data *= 1e4
    assert encoder.backend == "torch" and encoder.coordinates == 3
    check_encoder(encoder, dimensions=4)


def test_every_vertex_of_a_dense_level_has_a_row_and_is_met() -> None:
    grid = Grid.of(HashGridConfig(**SMALL, features=1))
    assert [level.hashed for level in grid.levels] == [False, True, True]
    table = torch.randn(grid.entries, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    vertices = torch.cartesian_prod(*[torch.arange(1, 3)] * 4)
    u = (vertices.double() - 0.5) / grid.levels[0].scale
    rows = vertices @ torch.tensor([1, 3, 9, 27])
    assert_close(plain.encode(grid.coarsest(1), u, table)[:, 0], table[rows, 0])


def test_a_short_span_is_the_beginning_of_the_axis() -> None:
    whole, part = (build_component("encoder", "hash_grid", {**SMALL, "time_span": s}) for s in (1.0, 0.5))
    x = 2.0 * torch.rand(20, 4, generator=torch.Generator().manual_seed(1)) - 1.0
    x[:, 3] = x[:, 3].abs()
    assert_close(part(x), whole(x * torch.tensor([1.0, 1.0, 1.0, 0.5])))


def test_a_distance_takes_it_by_one_line() -> None:
    scene = build_scene(
        '[fields.sdf]\ntype = "mlp_sdf"\nwidth = 8\nlayers = 1\nencoder = { type = "hash_grid", dimensions = 4 }'
    )
    x, t = torch.zeros(5, 3), torch.linspace(0.0, 1.0, 5)
    found = scene.fields["sdf"](x, t, want=frozenset({"sdf", "sdf_time_derivative"}))
    assert found["sdf_time_derivative"].shape == (5,)


def test_the_loops_of_the_cpu_say_that_they_cannot() -> None:
    with pytest.raises(UserError, match="three dimensions"):
        build_component("encoder", "hash_grid", {**SMALL, "backend": "cpu"})
