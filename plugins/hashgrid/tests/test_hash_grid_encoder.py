"""The encoder keeps the contract of encoders, maps its box, and fades its levels in."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from known_grids import SMALL, inside, normal
from torch.testing import assert_close

from neuralfw.components import Encoder
from neuralfw.errors import UserError
from neuralfw.testing import build_component, check_encoder


def hash_grid(seed: int = 0, **options: Any) -> Encoder:
    """A small encoder whose features are of the order of 1."""
    encoder = build_component("encoder", "hash_grid", {**SMALL, **options}, seed=seed)
    encoder.table.data *= 1e4
    return encoder


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"backend": "torch"},
        {"include_input": False, "interpolation": "smoothstep"},
        {"active_levels": 2.5},
        {"size": 2.0, "levels": 3},
    ],
    ids=str,
)
def test_it_keeps_the_contract(options: dict[str, Any]) -> None:
    check_encoder(hash_grid(**options))


def test_the_coordinates_come_first_where_they_are_wanted() -> None:
    x = inside(7)
    kept, dropped = hash_grid(), hash_grid(include_input=False)
    assert (kept.coordinates, kept.out_dim) == (3, 13)
    assert (dropped.coordinates, dropped.out_dim) == (0, 10)
    assert_close(kept(x), torch.cat([x, dropped(x)], dim=1))


def test_the_table_starts_small_and_by_the_seed() -> None:
    first, same, other = (build_component("encoder", "hash_grid", SMALL, seed=seed).table for seed in (0, 0, 1))
    assert torch.equal(first, same) and not torch.equal(first, other)
    assert first.abs().max() <= 1e-4
    assert_close(first.std().item(), 2e-4 / 12**0.5, rtol=0.05, atol=0.0)


def test_the_box_is_scaled_to_the_unit_cube() -> None:
    x = inside(20)
    small, large = hash_grid(include_input=False), hash_grid(include_input=False, size=3.0)
    assert_close(large(3.0 * x), small(x))
    g = normal(20, 10)
    assert_close(3.0 * large.pullback(3.0 * x, g), small.pullback(x, g), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("backend", ["cpu", "torch"])
def test_outside_the_box_its_surface_is_read(backend: str) -> None:
    encoder = hash_grid(include_input=False, size=0.5, backend=backend)
    x = torch.tensor([[0.7, 0.1, 0.2], [-3.0, 9.0, 0.3], [1e30, -1e30, 1e30]], requires_grad=True)
    assert_close(encoder(x), encoder(x.detach().clamp(-0.5, 0.5)))
    g = torch.ones(3, 10)
    pulled = encoder.pullback(x, g)
    assert (pulled == 0).tolist() == [[True, False, False], [True, True, False], [True, True, True]]
    bends = torch.autograd.grad(pulled.square().sum(), (x, encoder.table))
    assert all(bend.isfinite().all() for bend in bends)


def test_a_coordinate_that_is_no_number_gives_none_and_touches_no_foreign_memory() -> None:
    encoder = hash_grid(include_input=False)
    features = encoder(torch.tensor([[float("nan"), 0.1, 0.2], [0.1, 0.2, 0.3]]))
    assert features[0].isnan().all() and features[1].isfinite().all()
    features.sum().backward()
    assert encoder.table.grad.shape == encoder.table.shape


@pytest.mark.parametrize(("active", "weights"), [(0.0, [0] * 5), (2.0, [1, 1, 0, 0, 0]), (2.5, [1, 1, 0.5, 0, 0])])
def test_levels_fade_in(active: float, weights: list[float]) -> None:
    x = inside(20)
    faded, full = hash_grid(include_input=False, active_levels=active), hash_grid(include_input=False)
    expected = torch.tensor(weights).repeat_interleave(2)
    assert_close(faded(x), full(x) * expected)
    g = normal(20, 10)
    assert_close(faded.pullback(x, g), full.pullback(x, g * expected))


def test_a_schedule_opens_levels_with_the_clock() -> None:
    encoder = hash_grid(active_levels={"type": "linear", "start": 1.0, "end": 5.0, "until": 4})
    x = inside(20)
    seen = []
    for step in range(5):
        encoder._clock.run = encoder._clock.stage = step
        seen.append(int((encoder(x)[:, 3:].abs().amax(dim=0) > 0).sum()) // 2)
    assert seen == [1, 2, 3, 4, 5]


def test_a_table_moves_between_backends() -> None:
    ours, plain = hash_grid(), hash_grid(seed=1, backend="torch")
    plain.load_state_dict(ours.state_dict())
    x = inside(50)
    assert_close(ours(x), plain(x))
    assert [*ours.state_dict()] == ["table"]


def test_the_backend_is_told() -> None:
    assert hash_grid().backend == "cpu"
    assert hash_grid(backend="torch").backend == "torch"
    with pytest.raises(UserError, match="it needs CUDA"):
        hash_grid(backend="tinycudann")
