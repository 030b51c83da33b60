"""The losses of images against closed forms."""

import pytest
import torch

from neuralfw.testing import build_component

RGB = torch.tensor([[[[0.1, 0.2, 0.3], [1.0, 1.0, 1.0]]]])
PHOTOGRAPH = torch.tensor([[[[0.2, 0.2, 0.0], [0.0, 1.0, 0.0]]]])


def test_l1_is_the_mean_over_pixels_and_channels():
    loss = build_component("loss", "l1")
    assert loss({"rgb": RGB}, {"rgb": PHOTOGRAPH}) == pytest.approx((0.1 + 0.3 + 1.0 + 1.0) / 6)


def test_pixels_that_were_not_observed_do_not_count():
    loss, valid = build_component("loss", "l1"), torch.tensor([[[True, False]]])
    assert loss({"rgb": RGB}, {"rgb": PHOTOGRAPH, "valid": valid}) == pytest.approx(0.4 / 3)
    assert loss({"rgb": RGB}, {"rgb": PHOTOGRAPH, "valid": ~valid & valid}) == 0.0


def test_mask_l1_compares_alpha_with_the_mask_where_there_is_one():
    loss, alpha = build_component("loss", "mask_l1"), torch.tensor([[[0.25, 1.0]]], requires_grad=True)
    assert loss({"alpha": alpha}, {"mask": torch.tensor([[[1.0, 1.0]]])}).item() == pytest.approx(0.375)
    nothing = loss({"alpha": alpha}, {})
    nothing.backward()
    assert nothing.item() == 0.0
    assert not alpha.grad.any()
