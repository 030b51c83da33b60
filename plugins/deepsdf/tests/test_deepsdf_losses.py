"""The losses, against their formulas."""

from __future__ import annotations

import pytest
import torch

from neuralfw.components import Build, Loss, Quantities
from neuralfw.config import ComponentConfig
from neuralfw.schedules import Clock
from neuralfw_deepsdf import config as c
from neuralfw_deepsdf import losses


def build() -> Build:
    """What a loss is built with; none of these looks at the scene."""
    return Build(None, Clock(), torch.device("cpu"), "test", None, lambda spec: None, torch.Generator())  # type: ignore[arg-type]


def value(loss: type[Loss], config: ComponentConfig, outputs: Quantities, batch: Quantities) -> float:
    return float(loss(config, build())(outputs, batch))


SDF = torch.tensor([0.05, -0.3, 0.2, 0.02])
SEEN = torch.tensor([0.01, -0.2, -0.05, 0.5])


@pytest.mark.parametrize(("reduction", "expected"), [("sum", 0.04 + 0.0 + 0.15 + 0.08), ("mean", 0.27 / 4)])
def test_clamped_l1_cuts_both_sides_off(reduction: str, expected: float) -> None:
    config = c.ClampedL1Config(delta=0.1, reduction=reduction)
    assert value(losses.ClampedL1, config, {"sdf": SDF}, {"sdf": SEEN}) == pytest.approx(expected)


def test_clamped_l1_gives_no_gradient_beyond_the_cut() -> None:
    sdf = SDF.clone().requires_grad_()
    losses.ClampedL1(c.ClampedL1Config(delta=0.1), build())({"sdf": sdf}, {"sdf": SEEN}).backward()
    assert (sdf.grad != 0).tolist() == [True, False, False, True]


def test_code_norm_in_both_forms() -> None:
    codes = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    assert value(losses.CodeNorm, c.CodeNormConfig(), {"latent": codes}, {}) == pytest.approx(3.5)
    assert value(losses.CodeNorm, c.CodeNormConfig(form="squared"), {"latent": codes}, {}) == pytest.approx(29 / 4)


def test_outside_minds_only_what_is_inside() -> None:
    assert value(losses.Outside, c.OutsideConfig(), {"sdf": SDF}, {}) == pytest.approx(0.3 / 4)
    assert value(losses.Outside, c.OutsideConfig(margin=0.1), {"sdf": SDF}, {}) == pytest.approx(
        (0.05 + 0.4 + 0.08) / 4
    )


def test_unsigned_l1_does_not_know_the_sign() -> None:
    distance = torch.tensor([0.05, 0.1, 0.2, 0.0])
    for sdf in (SDF, -SDF):
        assert value(losses.UnsignedL1, c.UnsignedL1Config(), {"sdf": sdf}, {"distance": distance}) == pytest.approx(
            0.22 / 4
        )


def test_pull_distance_in_both_powers() -> None:
    pulled, nearest = torch.tensor([[3.0, 4.0, 0.0], [0.0, 0.0, 1.0]]), torch.zeros(2, 3)
    outputs, batch = {"pulled": pulled}, {"nearest": nearest}
    assert value(losses.PullDistance, c.PullDistanceConfig(), outputs, batch) == pytest.approx(13.0)
    assert value(losses.PullDistance, c.PullDistanceConfig(power=1), outputs, batch) == pytest.approx(3.0)


def test_a_mean_over_nothing_is_zero() -> None:
    nothing = torch.zeros(0)
    assert value(losses.ClampedL1, c.ClampedL1Config(), {"sdf": nothing}, {"sdf": nothing}) == 0.0
    assert value(losses.CodeNorm, c.CodeNormConfig(), {"latent": torch.zeros(0, 3)}, {}) == 0.0
    assert value(losses.Outside, c.OutsideConfig(), {"sdf": nothing}, {}) == 0.0
