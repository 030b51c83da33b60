"""Named random streams: each draw depends on its seed, place, rank and step, and on nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neuralfw.run import Run
from neuralfw.session import train
from neuralfw.streams import key, seed_dropout, stream

numbers = st.integers(0, 2**40)


@given(numbers, st.text(), numbers, st.integers(-(2**40), 2**40))
def test_key_is_a_pure_function_that_fits_a_generator(seed: int, place: str, rank: int, step: int) -> None:
    assert key(seed, place, rank, step) == key(seed, place, rank, step)
    assert 0 <= key(seed, place, rank, step) < 2**63
    assert stream(seed, place, rank, step).initial_seed() == key(seed, place, rank, step)


def test_key_is_the_same_on_every_machine() -> None:
    assert key(0, "fit/samples/draw", 0, 0) == 955719835278650075


def test_places_ranks_steps_and_seeds_draw_differently() -> None:
    keys = [
        key(s, p, r, t) for s in range(4) for p in ("a", "b", "a/b", "a/b/c") for r in range(4) for t in range(-4, 4)
    ]
    assert len({*keys}) == len(keys)
    numbers = torch.stack([torch.rand(64, generator=stream(0, "a", 0, t)) for t in range(64)])
    correlation = np.corrcoef(numbers.numpy())
    assert abs(correlation - np.eye(64)).max() < 0.6
    assert float(numbers.mean()) == pytest.approx(0.5, abs=0.02)


def test_streams_leave_the_global_state_alone() -> None:
    before = torch.get_rng_state()
    torch.rand(3, generator=stream(0, "a"))
    assert torch.equal(before, torch.get_rng_state())


def test_dropout_is_seeded() -> None:
    layer, ones = torch.nn.Dropout(0.5), torch.ones(100)
    drawn = []
    for seed in (1, 2, 1):
        seed_dropout(torch.device("cpu"), seed)
        drawn.append(layer(ones))
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])


MORE = """
[data.more]
type  = "uniform"
batch = 7

[fields.other]
type   = "mlp_sdf"
width  = 8
layers = 1
"""


def test_adding_components_shifts_no_other(tiny_recipe: Callable[..., Path], tmp_path: Path) -> None:
    plain = train(tiny_recipe(), out=tmp_path / "plain")
    extra = [
        "stages.fit.passes.third={data='more', fields={sdf='other'}}",
        "stages.fit.losses=[{type='sdf_zero',on='surface'},{type='eikonal',on=['surface','volume']},{type='sdf_zero',name='o',on='third'}]",
        "stages.fit.train=['other','sdf']",
    ]
    more = train(tiny_recipe(MORE, name="more"), extra, out=tmp_path / "more")
    a, b = Run(plain).scene.state_dict(), Run(more).scene.state_dict()
    assert {n for n in b if n.startswith("fields.other")}
    for name, weights in a.items():
        assert torch.equal(weights, b[name])


def test_the_seed_changes_the_run(tiny_recipe: Callable[..., Path], tmp_path: Path) -> None:
    runs = [
        Run(train(tiny_recipe(), [f"seed={s}"], out=tmp_path / f"{i}")).scene.state_dict()
        for i, s in enumerate((0, 1, 0))
    ]
    assert all(torch.equal(runs[0][n], runs[2][n]) for n in runs[0])
    assert not all(torch.equal(runs[0][n], runs[1][n]) for n in runs[0])
