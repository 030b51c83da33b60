"""What the CPU kernels composite: closed forms, limits, order, threads; tiles' lists."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from small_scenes import differentiate, one, random, render, straight, view

from neuralfw_gaussians.backends import cpu, plain
from neuralfw_gaussians.contract import Settings, Splats, View
from neuralfw_gaussians.kernels.binning import TILE, bins

F32, F64 = torch.float32, torch.float64


def joined(*parts: Splats) -> Splats:
    return Splats(**{name: torch.cat([vars(p)[name] for p in parts]) for name in vars(parts[0])})


def permuted(splats: Splats, order: torch.Tensor) -> Splats:
    return Splats(**{name: value[order] for name, value in vars(splats).items()})


def at_depth(z: float, opacity: float = 0.8, **given: torch.Tensor) -> Splats:
    means = torch.tensor([[0.0, 0.0, z]], dtype=F64)
    return one(means=means, opacities=torch.tensor([opacity], dtype=F64), **given)


def test_one_ball_is_a_gaussian_of_the_closed_form() -> None:
    image = render(cpu, one(), straight(), F32)
    y, x = torch.meshgrid(torch.arange(33) + 0.5 - 16.5, torch.arange(33) + 0.5 - 16.5, indexing="ij")
    variance = (40.0 * 0.1 / 2.0) ** 2 + 0.3
    alpha = 0.8 * torch.exp(-0.5 * (x * x + y * y) / variance)
    alpha = torch.where(alpha >= 1 / 255, alpha, 0.0)
    torch.testing.assert_close(image.alpha, alpha, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(image.rgb, alpha[..., None] * torch.tensor([0.9, 0.5, 0.2]), rtol=1e-5, atol=1e-6)
    assert image.radii.item() == pytest.approx(math.sqrt(2.0 * math.log(255.0 * 0.8) * variance), rel=1e-5)


def test_nearer_gaussians_hide_farther_ones() -> None:
    near = at_depth(2.0, 0.6, sh=torch.full((1, 1, 3), 1.0, dtype=F64))
    far = at_depth(4.0, 0.5, sh=torch.full((1, 1, 3), -1.0, dtype=F64))
    image = render(cpu, joined(far, near), straight(), F32, depth=True)
    bright, dark = 0.5 + 0.28209479177387814, 0.5 - 0.28209479177387814
    assert image.depth is not None
    assert image.rgb[16, 16, 0].item() == pytest.approx(0.6 * bright + 0.4 * 0.5 * dark, rel=1e-5)
    assert image.alpha[16, 16].item() == pytest.approx(0.8, rel=1e-5)
    assert image.depth[16, 16].item() == pytest.approx(0.6 * 2.0 + 0.4 * 0.5 * 4.0, rel=1e-5)


def test_alpha_is_at_most_99_percent_and_a_pixel_ends_before_a_ten_thousandth_is_left() -> None:
    assert render(cpu, at_depth(2.0, 1.0), straight(), F32).alpha[16, 16].item() == pytest.approx(0.99, rel=1e-6)
    image = render(cpu, joined(*(at_depth(2.0 + 0.1 * k, 0.98) for k in range(4))), straight(), F32)
    assert 1.0 - image.alpha[16, 16].item() == pytest.approx(4e-4, rel=2e-3), "the third would leave 8e-6"


@pytest.mark.parametrize(("opacity", "seen"), [(1.001 / 255.0, True), (0.999 / 255.0, False)])
def test_what_is_fainter_than_a_grey_level_is_skipped(opacity: float, seen: bool) -> None:
    image = render(cpu, at_depth(2.0, opacity, scales=torch.full((1, 3), 0.5, dtype=F64)), straight(), F32)
    assert (image.alpha.max().item() > 0.0) == seen
    assert (image.radii.item() > 0.0) == seen


@pytest.mark.parametrize("z", [-2.0, 0.005, float("nan")])
def test_nothing_visible(z: float) -> None:
    found = differentiate(cpu, at_depth(z), straight(), F32, depth=True)
    assert (found.image.rgb == 0).all() and (found.image.alpha == 0).all() and (found.image.radii == 0).all()
    assert all((gradient == 0).all() for gradient in found.gradients.values())


@pytest.mark.parametrize("backend", [cpu, plain])
def test_an_empty_scene_is_empty(backend: object) -> None:
    splats = permuted(random(3), torch.zeros(0, dtype=torch.int64))
    found = differentiate(backend, splats, view(), F32, depth=True, absolute=True)  # type: ignore[arg-type]
    assert found.image.rgb.shape == (37, 50, 3) and (found.image.alpha == 0).all()
    assert found.gradients["means"].shape == (0, 3)


def test_the_order_of_the_gaussians_does_not_matter() -> None:
    splats = random(300)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(1))
    first = differentiate(cpu, splats, view(), F32, depth=True)
    second = differentiate(cpu, permuted(splats, order), view(), F32, depth=True)
    assert torch.equal(first.image.rgb, second.image.rgb) and torch.equal(first.image.alpha, second.image.alpha)
    for name, gradient in first.gradients.items():
        if name == "pose":  # a sum over Gaussians
            torch.testing.assert_close(gradient, second.gradients[name], rtol=1e-5, atol=1e-4)
        else:
            assert torch.equal(gradient[order], second.gradients[name]), name


def test_one_thread_and_two_give_the_same_bits() -> None:
    splats, before = random(3000, size=0.1), torch.get_num_threads()
    features = torch.rand(3000, 2, generator=torch.Generator().manual_seed(2), dtype=F64)
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(differentiate(cpu, splats, view(90, 70), F32, features, depth=True, absolute=True))
    finally:
        torch.set_num_threads(before)
    one_thread, two = found
    for part in ("rgb", "alpha", "depth", "features", "radii"):
        assert torch.equal(getattr(one_thread.image, part), getattr(two.image, part)), part
    for name, gradient in one_thread.gradients.items():
        assert torch.equal(gradient, two.gradients[name]), name


def test_a_second_image_does_not_disturb_the_gradient_of_the_first() -> None:
    splats = Splats(**{name: value.float().requires_grad_() for name, value in vars(random(100)).items()})
    camera = View(view().world_to_camera, view().intrinsics.float(), 50, 37)

    def gradient(*cameras: View) -> torch.Tensor:
        images = [cpu.render(splats, c, Settings(), torch.zeros(100, 2)).rgb for c in cameras]
        (d_means,) = torch.autograd.grad(images[0].sum(), splats.means)
        return d_means

    other = View(camera.world_to_camera, camera.intrinsics, 70, 20)
    assert torch.equal(gradient(camera), gradient(camera, other))


def test_tiles_list_what_touches_them_by_depth() -> None:
    rng = np.random.default_rng(0)
    count, width, height = 500, 70, 50
    first = np.stack([rng.integers(0, width, count), rng.integers(0, height, count)], axis=1)
    end = np.minimum(first + rng.integers(0, 40, (count, 2)), (width, height))
    boxes = np.concatenate([first, end], axis=1).astype(np.int32)
    boxes[(end <= first).any(axis=1)] = 0
    depths = rng.choice(np.float32([0.5, 1.0, 2.0, 1e-3, 300.0]), count)  # many ties
    found = bins(depths, boxes, width, height)
    columns = -(-width // TILE)
    for tile in range(columns * -(-height // TILE)):
        x, y = tile % columns * TILE, tile // columns * TILE
        touching = (boxes[:, 0] < x + TILE) & (boxes[:, 2] > x) & (boxes[:, 1] < y + TILE) & (boxes[:, 3] > y)
        ids = np.flatnonzero(touching)
        expected = ids[np.argsort(depths[ids], kind="stable")]
        np.testing.assert_array_equal(found.meetings[found.starts[tile] : found.starts[tile + 1], 0], expected)
    slots, by = np.sort(found.meetings[:, 1]), np.searchsorted(found.offsets, found.meetings[:, 1], side="right") - 1
    np.testing.assert_array_equal(slots, np.arange(len(slots)))
    np.testing.assert_array_equal(by, found.meetings[:, 0])
