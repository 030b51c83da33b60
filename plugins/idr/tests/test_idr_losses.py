"""The losses, against their formulas."""

from __future__ import annotations

import math

import pytest
import torch

from neuralfw.components import Quantities
from neuralfw.testing import build_component

RGB = torch.tensor([[0.5, 0.5, 0.5], [0.0, 0.2, 1.0], [1.0, 1.0, 1.0], [0.3, 0.3, 0.3]])
PHOTO = torch.tensor([[0.4, 0.5, 0.8], [0.1, 0.2, 1.0], [0.0, 0.0, 0.0], [0.3, 0.3, 0.9]])
HIT = torch.tensor([True, True, True, False])
MASK = torch.tensor([1.0, 1.0, 0.0, 1.0])


def value(name: str, outputs: Quantities, batch: Quantities, **options: str) -> float:
    return float(build_component("loss", f"idr/{name}", options)(outputs, batch))


@pytest.mark.parametrize(("reduction", "rays"), [("all_rays", 4), ("hits", 2)])
def test_rgb_l1_sums_over_the_object_where_it_is_met(reduction: str, rays: int) -> None:
    found = value("rgb_l1", {"rgb": RGB, "hit": HIT}, {"rgb": PHOTO, "mask": MASK}, reduction=reduction)
    assert found == pytest.approx(2.0 * (0.4 + 0.1) / rays)


def test_rgb_l1_of_a_renderer_that_says_nothing_of_hits_and_of_photographs_without_masks() -> None:
    assert value("rgb_l1", {"rgb": RGB}, {"rgb": PHOTO, "mask": MASK}) == pytest.approx(2.0 * (0.4 + 0.1 + 0.6) / 4)
    assert value("rgb_l1", {"rgb": RGB}, {"rgb": PHOTO}) == pytest.approx(2.0 * (0.4 + 0.1 + 3.0 + 0.6) / 4)


def test_pixels_that_are_not_valid_count_nowhere() -> None:
    valid = torch.tensor([True, False, True, True])
    batch = {"rgb": PHOTO, "mask": MASK, "valid": valid}
    assert value("rgb_l1", {"rgb": RGB, "hit": HIT}, batch) == pytest.approx(2.0 * 0.4 / 3)
    logits = torch.tensor([0.0, 50.0, 0.0, 0.0])
    assert value("mask_bce", {"alpha": logits.sigmoid(), "alpha_logit": logits}, batch) == pytest.approx(math.log(2.0))


@pytest.mark.parametrize("alpha", [50.0, 1600.0])
def test_mask_bce_with_the_weight_of_a_hundredth_is_equation_9(alpha: float) -> None:
    least = torch.tensor([-1e-5, 0.02, -0.01, 0.003])
    certain = torch.tensor([True, False, False, False])
    logits = torch.where(certain, torch.tensor(100.0), -alpha * least)
    found = value("mask_bce", {"alpha": logits.sigmoid(), "alpha_logit": logits}, {"mask": MASK})
    sigmoid = torch.sigmoid(-alpha * least.double())
    expected = -(sigmoid[1].log() + (1.0 - sigmoid[2]).log() + sigmoid[3].log()) / (4.0 * alpha)
    assert 100.0 / alpha * found == pytest.approx(100.0 * float(expected), rel=1e-5)


def test_mask_bce_pulls_far_rays_although_their_opacity_is_zero() -> None:
    logit = torch.tensor([-160.0], requires_grad=True)
    loss = build_component("loss", "idr/mask_bce")
    loss({"alpha": logit.sigmoid(), "alpha_logit": logit}, {"mask": torch.ones(1)}).backward()
    assert logit.grad is not None and float(logit.grad) == -1.0


def test_mask_bce_of_an_opacity_alone_stays_finite() -> None:
    outputs, batch = {"alpha": torch.tensor([0.0, 1.0, 0.25])}, {"mask": torch.tensor([1.0, 0.0, 1.0])}
    expected = -(2.0 * math.log(1e-3) + math.log(0.25)) / 3.0
    assert value("mask_bce", outputs, batch) == pytest.approx(expected, rel=1e-4)


def test_a_mean_over_nothing_is_zero() -> None:
    nothing = {"rgb": torch.zeros(0, 3), "alpha": torch.zeros(0), "alpha_logit": torch.zeros(0)}
    batch = {"rgb": torch.zeros(0, 3), "mask": torch.zeros(0)}
    assert value("rgb_l1", nothing, batch) == 0.0 and value("mask_bce", nothing, batch) == 0.0
    missed = {"rgb": RGB, "hit": torch.zeros(4, dtype=torch.bool)}
    assert value("rgb_l1", missed, {"rgb": PHOTO, "mask": MASK}, reduction="hits") == 0.0
