"""Images and gradients of the CPU kernels against float64 autograd of their readable twin."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_scenes import POSE, differentiate, one, random, render, straight, view

from neuralfw_gaussians.backends import cpu, plain
from neuralfw_gaussians.contract import Settings, Splats, View

F32, F64 = torch.float32, torch.float64


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def check(splats: Splats, camera: Any, features: torch.Tensor | None = None, **settings: Any) -> None:
    """Compare images, radii and gradients in all that there is."""
    rounded = Splats(**{name: value.float().double() for name, value in vars(splats).items()})
    found = differentiate(cpu, rounded, camera, F32, features, absolute=True, **settings)
    expected = differentiate(plain, rounded, camera, F64, features, absolute=True, **settings)
    for part in ("rgb", "alpha", "depth", "features"):
        a, b = getattr(found.image, part), getattr(expected.image, part)
        assert (a is None) == (b is None), part
        assert a is None or (a - b).abs().max() < 1e-5, part
    assert relative(found.image.radii, expected.image.radii) < 1e-5
    assert ((found.image.radii > 0) == (expected.image.radii > 0)).all()
    assert found.gradients.keys() == expected.gradients.keys()
    for name, gradient in expected.gradients.items():
        assert gradient.norm() > 0, f"nothing to compare: {name}"
        assert relative(found.gradients[name], gradient) < 1e-5, name


@pytest.mark.parametrize("antialiased", [False, True])
def test_gradients_with_overlap_depth_and_features(antialiased: bool) -> None:
    features = torch.rand(300, 2, generator=torch.Generator().manual_seed(3), dtype=F64)
    check(random(300), view(), features, antialiased=antialiased, depth=True)


def test_gradients_where_pixels_end_early() -> None:
    splats = random(1500)
    assert (render(plain, splats, view(), F64).alpha > 1.0 - 2e-4).double().mean() > 0.5
    check(splats, view())


def test_gradients_where_alpha_is_clamped() -> None:
    splats = random(60, size=0.6)
    check(Splats(**(vars(splats) | {"opacities": torch.full((60,), 0.9999, dtype=F64)})), view())


@pytest.mark.parametrize("antialiased", [False, True])
def test_gradients_of_needles_smaller_than_a_pixel(antialiased: bool) -> None:
    splats = random(400, size=0.01)
    thin = splats.scales * torch.tensor([1.0, 0.1, 30.0], dtype=F64)
    check(Splats(**(vars(splats) | {"scales": thin})), view(), antialiased=antialiased)


def test_gradients_where_the_jacobian_is_clamped() -> None:
    pose = POSE.clone()
    pose[2, 3] = 1.0  # amid the Gaussians: many are far off the axis, or behind
    splats = random(200, size=0.5)
    in_camera = splats.means @ pose[:3, :3].double().T + pose[:3, 3].double()
    sideways = (in_camera[:, 0] / in_camera[:, 2]).abs() > 1.0
    image = render(plain, splats, view(pose=pose), F64)
    assert ((image.radii > 0) & sideways).sum() > 10
    check(splats, view(pose=pose), depth=True)


@pytest.mark.parametrize("sh", [1, 4, 9, 16])
def test_gradients_of_each_degree_of_harmonics(sh: int) -> None:
    check(random(50, sh=sh), view(30, 20))


def test_projected_axes_follow_a_rotation() -> None:
    half = torch.tensor([torch.pi / 4.0], dtype=F64)
    turned = torch.cat([half.cos(), torch.zeros(2, dtype=F64), half.sin()])[None]  # by 90 degrees about z
    flat = torch.tensor([[0.3, 0.05, 0.05]], dtype=F64)
    across = render(cpu, one(scales=flat), straight(), F32).alpha
    down = render(cpu, one(scales=flat, rotations=turned), straight(), F32).alpha
    torch.testing.assert_close(across, down.T, rtol=1e-5, atol=1e-6)
    assert across[16, 22] > 2.0 * across[22, 16]


def test_antialiasing_keeps_the_energy_of_what_is_smaller_than_a_pixel() -> None:
    tiny = one(scales=torch.full((1, 3), 0.01, dtype=F64))
    sigma = 40.0 * 0.01 / 2.0
    energy = render(cpu, tiny, straight(), F32, antialiased=True).alpha.sum().item()
    assert energy == pytest.approx(0.8 * 2.0 * torch.pi * sigma**2, rel=0.1)
    assert render(cpu, tiny, straight(), F32).alpha.sum().item() > 5.0 * energy


def test_screen_gradient_adds_up_over_images() -> None:
    splats = random(80)
    leaves = Splats(**{name: value.float().requires_grad_() for name, value in vars(splats).items()})
    screen, once = torch.zeros(80, 2), torch.zeros(80, 2)
    camera = View(view().world_to_camera, view().intrinsics.float(), 50, 37)
    images = [cpu.render(leaves, camera, Settings(absolute=True), screen).rgb.sum() for _ in range(2)]
    assert (screen == 0).all(), "only the backward fills it"
    torch.stack(images).sum().backward()  # type: ignore[no-untyped-call]
    cpu.render(leaves, camera, Settings(absolute=True), once).rgb.sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(screen, 2.0 * once)
    assert (once[:, 1] >= once[:, 0] - 1e-4).all() and (once[:, 1] > 0).any(), "absolute sums are not smaller"
