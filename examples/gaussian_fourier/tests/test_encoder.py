"""The encoder keeps the contract of encoders; its options and its seed decide what it is."""

import torch

from neuralfw.registry import discover
from neuralfw.testing import build_component, check_encoder


def test_it_is_found_by_its_name() -> None:
    assert discover().find("encoder", "gaussian_fourier").full_name == "gaussian_fourier/gaussian_fourier"


def test_it_keeps_the_contract() -> None:
    check_encoder(build_component("encoder", "gaussian_fourier", {"features": 8}))


def test_features_are_sines_and_cosines_of_unit_length() -> None:
    encoder = build_component("encoder", "gaussian_fourier", {"features": 5})
    sine, cosine = encoder(torch.rand(7, 3))[:, 3:].chunk(2, dim=1)
    torch.testing.assert_close(sine**2 + cosine**2, torch.ones(7, 5))


def test_scale_is_the_spread_of_the_frequencies() -> None:
    encoder = build_component("encoder", "gaussian_fourier", {"features": 4096, "scale": 2.0})
    assert abs(encoder.directions.std().item() - 2.0) < 0.1


def test_the_seed_draws_the_directions() -> None:
    first, same, other = (build_component("encoder", "gaussian_fourier", seed=seed).directions for seed in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
