"""What plugin authors test with: components out of a recipe, and an encoder's contract that wrong ones fail."""

import pytest
import torch

from neuralfw.encoders.config import FrequencyConfig
from neuralfw.encoders.frequency import Frequency
from neuralfw.errors import UserError
from neuralfw.testing import build_component, check_encoder


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("identity", {}),
        ("core/frequency", {"bands": 3}),
        ("frequency", {"include_input": False}),
        ("frequency", {"active": {"type": "linear", "start": 1.0, "end": 6.0, "until": 10}}),
    ],
)
def test_cores_encoders_hold_the_contract(name, options):
    check_encoder(build_component("encoder", name, options))


def test_nested_components_and_defaults_are_resolved():
    field = build_component("field", "mlp_sdf", {"width": 8, "layers": 1, "encoder": {"type": "frequency", "bands": 2}})
    assert field(torch.zeros(5, 3))["sdf"].shape == (5,)
    assert build_component("encoder", "frequency").out_dim == 3 + 6 * FrequencyConfig().bands


def test_the_seed_decides_what_is_drawn():
    first, same, other = (
        build_component("field", "mlp_sdf", {"width": 8, "layers": 1}, seed=seed)(torch.ones(1, 3))["sdf"]
        for seed in (0, 0, 1)
    )
    assert first == same != other


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("frequancy", {}, "closest: frequency"),
        ("frequency", {"band": 3}, "closest: bands"),
        ("frequency", {"bands": "three", "scale": -1.0}, "2 faults"),
    ],
)
def test_faults_are_told_as_in_a_recipe(name, options, message):
    with pytest.raises(UserError, match=message):
        build_component("encoder", name, options)


class Wide(Frequency):
    def forward(self, x):
        return torch.cat([super().forward(x), x], dim=1)


class Shifted(Frequency):
    def forward(self, x):
        return super().forward(x + 0.1)


class Untold(Frequency):
    def pullback(self, x, g):
        return super().pullback(x, g) + 1e-3


class Cut(Frequency):
    def pullback(self, x, g):
        return super().pullback(x, g.detach())


class Infinite(Frequency):
    def forward(self, x):
        return super().forward(x) / (1.0 - x[:, :1].abs())


@pytest.mark.parametrize("wrong", [Wide, Shifted, Untold, Cut, Infinite])
def test_an_encoder_that_breaks_the_contract_is_caught(wrong):
    broken = build_component("encoder", "frequency", {"bands": 2})
    broken.__class__ = wrong
    with pytest.raises(AssertionError):
        check_encoder(broken)


def test_one_without_pullback_runs_on_autograd():
    encoder = build_component("encoder", "frequency")
    encoder.pullback = None
    check_encoder(encoder)
