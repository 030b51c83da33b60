"""The backends against each other, finite differences and closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from known_meshes import VIEW, ball, disc, two_balls
from torch import Tensor
from torch.testing import assert_close

from neuralfw_mesh.backends import cpu, plain
from neuralfw_mesh.backends.plain import wings_of
from neuralfw_mesh.contract import Backend, Silhouettes, Triangles, View
from neuralfw_mesh.kernels.silhouettes import wings

BACKENDS = [cpu.Drawing, plain.Drawing]
ALL = replace(VIEW, silhouettes="all")
BEHIND = torch.tensor([0.2, 0.9, 0.4], dtype=torch.float64)


def rendered(draw: Backend, positions: Tensor, values: Tensor, triangles: Triangles, view: View = VIEW) -> Tensor:
    """Return the values in front of a background, blended across silhouettes."""
    drawn = draw(positions, triangles, view)
    return drawn.antialias(torch.where(drawn.hit[..., None], drawn.interpolate(values), BEHIND.to(values)))


def colored(positions: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.rand(len(positions), 3, generator=generator, dtype=torch.float64)


def weights(image: Tensor) -> Tensor:
    return torch.randn(image.shape, generator=torch.Generator().manual_seed(5), dtype=image.dtype)


@pytest.mark.parametrize("scene", [ball, two_balls])
def test_the_kernels_and_their_twin_agree_in_values_and_gradients(
    scene: Callable[[], tuple[Tensor, Triangles]],
) -> None:
    positions, triangles = scene()
    found = []
    for draw in BACKENDS:
        p, v = positions.clone().requires_grad_(), colored(positions).requires_grad_()
        image = rendered(draw, p, v, triangles)
        found.append((image, *torch.autograd.grad((image * weights(image)).sum(), (p, v))))
    for ours, twin in zip(*found, strict=True):
        assert_close(ours, twin, rtol=1e-9, atol=1e-9)
    assert found[0][1].abs().max() > 1.0


@pytest.mark.parametrize(("draw", "view"), [(cpu.Drawing, VIEW), (cpu.Drawing, ALL), (plain.Drawing, VIEW)])
def test_gradients_are_those_of_finite_differences(draw: Backend, view: View) -> None:
    positions, triangles = two_balls()
    values = colored(positions)
    p = positions.clone().requires_grad_()
    v = values.clone().requires_grad_()
    image = rendered(draw, p, v, triangles, view)
    w = weights(image)
    d_positions, d_values = torch.autograd.grad((image * w).sum(), (p, v))
    generator = torch.Generator().manual_seed(7)
    for _ in range(6):
        step = 1e-7 * torch.randn(positions.shape, generator=generator, dtype=torch.float64)
        ahead, back = (rendered(draw, positions + s * step, values, triangles, view) for s in (1, -1))
        assert_close(((ahead - back) * w).sum() / 2, (d_positions * step).sum(), rtol=1e-5, atol=1e-11)
    change = torch.randn(values.shape, generator=generator, dtype=torch.float64)
    assert_close(
        ((rendered(draw, positions, values + change, triangles, view) - image) * w).sum(), (d_values * change).sum()
    )


@pytest.mark.parametrize("draw", BACKENDS)
def test_perspective_is_corrected(draw: Backend) -> None:
    positions = torch.tensor([[-1.0, -1.0, 1.5], [1.0, -0.8, 4.0], [0.0, 1.0, 2.0]], dtype=torch.float64)
    drawn = draw(positions, Triangles(torch.tensor([[0, 1, 2]])), VIEW)
    points = drawn.interpolate(positions)[drawn.hit]
    fx, fy, cx, cy = VIEW.intrinsics
    pixels = points[:, :2] / points[:, 2:] * points.new_tensor([fx, fy]) + points.new_tensor([cx, cy])
    rows, columns = drawn.hit.nonzero(as_tuple=True)
    assert len(rows) > 50
    assert_close(pixels, torch.stack([columns, rows], dim=1) + 0.5, check_dtype=False)


@pytest.mark.parametrize(("draw", "size", "tolerance"), [(cpu.Drawing, 192, 0.01), (plain.Drawing, 64, 0.07)])
def test_area_of_a_disc_and_its_gradients(draw: Backend, size: int, tolerance: float) -> None:
    focal = size / 0.48
    view = View((focal, focal, 0.5 * size + 0.2, 0.5 * size - 0.3), size, size, near=0.1)
    positions, triangles = disc(12, 0.3)
    positions.requires_grad_()
    mask = rendered_mask(draw, positions, triangles, view)
    area, true = mask.sum(), 6.0 * math.sin(2.0 * math.pi / 12.0) * (focal * 0.15) ** 2
    assert_close(area.item(), true, rtol=0.002, atol=0.0)
    (d,) = torch.autograd.grad(area, positions, retain_graph=True)
    by_scale = (d[:, :2] * positions[:, :2]).sum().item()
    assert_close(by_scale, 2.0 * true, rtol=tolerance, atol=0.0)
    assert_close(d[:, 2].sum().item(), -by_scale / 2.0, rtol=1e-6, atol=0.0)
    columns = torch.arange(size, dtype=torch.float64) + 0.5
    (d,) = torch.autograd.grad((mask[..., 0] * columns).sum(), positions)
    assert_close(d[:, 0].sum().item(), 0.5 * focal * true, rtol=tolerance, atol=0.0)


def positions_of(*corners: list[float]) -> Tensor:
    return torch.tensor([[*corner, 1.0] for corner in corners], dtype=torch.float64)


def rendered_mask(draw: Backend, positions: Tensor, triangles: Triangles, view: View) -> Tensor:
    drawn = draw(positions, triangles, view)
    return drawn.antialias(drawn.hit[..., None].to(positions))


@pytest.mark.parametrize("subdivisions", [2, 3, 4, 5])
def test_area_of_a_sphere_and_its_gradients_however_fine_the_mesh(subdivisions: int) -> None:
    view = View((200.0, 200.0, 64.2, 63.7), 128, 128, near=0.1, silhouettes="all")
    positions, triangles = ball(subdivisions, 0.5, 2.5)
    center = positions.mean(dim=0)
    positions.requires_grad_()
    mask = rendered_mask(cpu.Drawing, positions, triangles, view)
    (d,) = torch.autograd.grad(mask.sum(), positions, retain_graph=True)
    area = 200.0**2 * math.pi * 0.25 / (2.5**2 - 0.25)
    coarse = 0.3 / 4.0 ** (subdivisions - 1)
    assert_close(mask.sum().item(), area, rtol=0.002 + coarse, atol=0.0)
    assert_close((d * (positions - center)).sum().item(), 2.0 * area * 2.5**2 / 6.0, rtol=0.02 + coarse, atol=0.0)
    columns = torch.arange(128, dtype=torch.float64) + 0.5
    (d,) = torch.autograd.grad((mask[..., 0] * columns).sum(), positions)
    assert_close(d[:, 0].sum().item(), 200.0 * 2.5 / 6.0 * mask.sum().item(), rtol=0.02 + coarse, atol=0.0)


def test_all_silhouettes_are_those_shown_where_faces_are_large() -> None:
    positions, triangles = disc(5, 0.3)
    images = [rendered_mask(cpu.Drawing, positions, triangles, view) for view in (VIEW, ALL)]
    assert_close(images[0].sum(), images[1].sum(), rtol=0.01, atol=0.0)
    assert (images[0] != images[1]).sum() < 5


@pytest.mark.parametrize(
    ("draw", "silhouettes"), [(cpu.Drawing, "shown"), (cpu.Drawing, "all"), (plain.Drawing, "shown")]
)
def test_an_edge_half_way_changes_nothing_and_one_farther_blends(draw: Backend, silhouettes: Silhouettes) -> None:
    triangles = Triangles(torch.tensor([[0, 1, 2], [0, 2, 3]]))
    view = View((1.0, 1.0, 0.0, 0.0), 8, 8, silhouettes=silhouettes)
    for edge, inner, outer in ((4.0, 1.0, 0.0), (4.3, 1.0, 0.3), (3.7, 0.7, 0.0)):
        corners = positions_of([-9.0, -9.1], [edge, -9.1], [edge, 29.3], [-9.0, 29.3])
        mask = rendered_mask(draw, corners, triangles, view)[4, :, 0]
        expected = torch.tensor([1.0, 1.0, 1.0, inner, outer, 0.0, 0.0, 0.0], dtype=torch.float64)
        assert_close(mask, expected)


def test_wings_are_found_as_a_dictionary_finds_them() -> None:
    _, triangles = ball(2)
    open_border = triangles.faces[7:]
    three_at_an_edge = torch.tensor([[0, 1, 2], [1, 0, 3], [0, 1, 4], [2, 1, 5]])
    for faces in (triangles.faces, open_border, three_at_an_edge):
        found = wings(faces.numpy(), int(faces.max()) + 1)
        assert_close(torch.from_numpy(found), wings_of(faces))


@pytest.mark.parametrize("draw", BACKENDS)
def test_what_lies_behind_the_camera_is_not_seen_and_has_no_gradient(draw: Backend) -> None:
    positions, triangles = ball(1, 0.6, -2.5)
    positions.requires_grad_()
    image = rendered(draw, positions, colored(positions), triangles)
    assert_close(image, BEHIND.expand_as(image))
    (d,) = torch.autograd.grad(image.sum(), positions, allow_unused=True)
    assert d is None or not d.any()


def test_the_number_of_threads_changes_nothing() -> None:
    positions, triangles = ball(4)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            p = positions.float().requires_grad_()
            image = rendered(cpu.Drawing, p, colored(positions).float(), triangles, ALL)
            found.append((image, *torch.autograd.grad((image * weights(image)).sum(), p)))
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*found, strict=True):
        assert torch.equal(one, two)
