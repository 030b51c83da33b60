"""SSIM against scikit-image, its readable twin and float64 autograd; what is not valid does not count."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from known_splats import build
from skimage.metrics import structural_similarity

from neuralfw.losses.config import L1Config
from neuralfw.losses.images import L1
from neuralfw_gaussians.dssim import Dssim, L1Dssim, plain, similarity
from neuralfw_gaussians.render_config import DssimConfig, L1DssimConfig


def pair(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Return a smooth image and a noisy one that resembles it."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 5, 6, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")[0].permute(1, 2, 0)
    noise = 0.1 * torch.randn(height, width, 3, generator=generator)
    return torch.stack([smooth, (smooth + noise).clamp(0.0, 1.0)])


@pytest.mark.parametrize("difference", [0.0, 4.0])
@pytest.mark.parametrize(("height", "width"), [(40, 53), (7, 30), (16, 3), (1, 1)])
def test_value_and_gradient_are_those_of_the_twin_in_double_precision(
    height: int, width: int, difference: float
) -> None:
    a, b = pair(height, width)
    share = torch.rand(height, width, generator=torch.Generator().manual_seed(1)) / (height * width)
    ours, twin = a.clone().requires_grad_(), a.double().requires_grad_()
    value, expected = similarity(ours, b, share, difference), plain(twin, b.double(), share.double(), difference)
    (3.0 * value).backward()
    (3.0 * expected).backward()
    assert ours.grad is not None and twin.grad is not None
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    assert (ours.grad - twin.grad).norm() / twin.grad.norm() < 1e-5


def test_value_is_that_of_scikit_image() -> None:
    a, b = pair(60, 70)
    _, field = structural_similarity(
        a.numpy(), b.numpy(), channel_axis=2, data_range=1.0, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, full=True,
    )  # fmt: skip
    share = torch.zeros(60, 70)
    share[5:-5, 5:-5] = 1.0  # scikit-image mirrors at the border
    assert similarity(a, b, share).item() == pytest.approx(float(np.sum(field[5:-5, 5:-5])), rel=1e-4)


def test_equal_images_lose_nothing() -> None:
    a, _ = pair(20, 30)
    loss = Dssim(DssimConfig(), build())
    image = a[None].clone().requires_grad_()
    value = loss({"rgb": image}, {"rgb": a[None]})
    value.backward()
    assert value.item() == pytest.approx(0.0, abs=1e-5)
    assert image.grad is not None and image.grad.abs().max() < 1e-5


def test_views_count_alike_and_invalid_pixels_do_not() -> None:
    a, b = pair(40, 30, seed=1)
    loss = Dssim(DssimConfig(), build())
    both = loss({"rgb": torch.stack([a, a])}, {"rgb": torch.stack([b, a])})
    single = loss({"rgb": a[None]}, {"rgb": b[None]})
    assert both.item() == pytest.approx(0.5 * single.item(), rel=1e-4)

    valid = torch.zeros(1, 40, 30, dtype=torch.bool)
    valid[:, :10] = True
    spoilt = b.clone()
    spoilt[20:] = 0.0  # further from a valid pixel than a window reaches
    values = [loss({"rgb": a[None]}, {"rgb": photo[None], "valid": valid}).item() for photo in (b, spoilt)]
    assert values[0] == pytest.approx(values[1], rel=1e-5)
    assert values[0] > 0.01


def test_no_valid_pixel_is_no_loss() -> None:
    a, b = pair(20, 20)
    none = torch.zeros(1, 20, 20, dtype=torch.bool)
    for loss in (Dssim(DssimConfig(), build()), L1Dssim(L1DssimConfig(), build())):
        assert loss({"rgb": a[None]}, {"rgb": b[None], "valid": none}).item() == 0.0


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("share", [0.2, 0.7, 1.0])
def test_the_fused_loss_is_the_weighted_sum_of_the_two(share: float, masked: bool) -> None:
    pairs = [pair(33, 47, seed) for seed in (0, 1)]
    images, photographs = (torch.stack([p[k] for p in pairs]) for k in (0, 1))
    images[0, 5:9] = photographs[0, 5:9]  # where the two are equal, |a - b| has no slope
    batch = {"rgb": photographs}
    if masked:
        batch["valid"] = torch.rand(2, 33, 47, generator=torch.Generator().manual_seed(2)) < 0.6
    fused, apart = images.clone().requires_grad_(), images.clone().requires_grad_()
    value = L1Dssim(L1DssimConfig(share=share), build())({"rgb": fused}, batch)
    l1, dssim = L1(L1Config(), build()), Dssim(DssimConfig(), build())
    expected = (1.0 - share) * l1({"rgb": apart}, batch) + share * dssim({"rgb": apart}, batch)
    value.backward()
    expected.backward()
    assert fused.grad is not None and apart.grad is not None
    assert value.item() == pytest.approx(expected.item(), abs=1e-6)
    assert (fused.grad - apart.grad).abs().max() < 1e-6 * apart.grad.abs().max()


def test_one_thread_and_two_give_the_same_bits() -> None:
    a, b = pair(50, 60)
    share, before, found = torch.ones(50, 60), torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            image = a.clone().requires_grad_()
            value = similarity(image, b, share)
            value.backward()
            assert image.grad is not None
            found.append((value.detach(), image.grad))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0][0], found[1][0]) and torch.equal(found[0][1], found[1][1])
