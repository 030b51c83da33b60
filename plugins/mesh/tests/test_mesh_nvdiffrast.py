"""The adapter to nvdiffrast: with a stand-in that does in plain PyTorch what its documentation says, and on CUDA."""

from __future__ import annotations

import math
import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from known_meshes import VIEW, ball, disc, two_balls
from test_mesh_drawing import BEHIND, colored, positions_of, rendered, rendered_mask, weights
from torch import Tensor
from torch.testing import assert_close

from neuralfw.errors import UserError
from neuralfw_mesh import backends
from neuralfw_mesh.backends import cpu, nvdiffrast
from neuralfw_mesh.blending import projected
from neuralfw_mesh.contract import Triangles, View


def corners_of(pos: Tensor, tri: Tensor) -> Tensor:
    return pos[0][tri.long()]


def stand_in() -> ModuleType:
    """Return a package with the four functions of nvdiffrast 0.4 that are used, for one mesh and one image."""
    package = ModuleType("nvdiffrast.torch")

    def rasterize(
        ctx: Any, pos: Tensor, tri: Tensor, resolution: list[int], grad_db: bool = True
    ) -> tuple[Tensor, Tensor]:
        assert pos.dtype == torch.float32 and tri.dtype == torch.int32 and pos.is_contiguous() and not grad_db
        height, width = resolution
        Y, X = torch.meshgrid(
            (2 * torch.arange(height) + 1) / height - 1, (2 * torch.arange(width) + 1) / width - 1, indexing="ij"
        )
        corner = corners_of(pos, tri)[:, :, None, None]
        qx, qy = (corner[..., axis] - at * corner[..., 3] for axis, at in ((0, X), (1, Y)))
        a = qx.roll(-1, 1) * qy.roll(-2, 1) - qy.roll(-1, 1) * qx.roll(-2, 1)
        total = a.sum(1)
        zw = (corner[..., 2] * a).sum(1) / (corner[..., 3] * a).sum(1)
        covered = ((a >= 0).all(1) | (a <= 0).all(1)) & (zw.abs() <= 1) & ((corner[..., 3] * a).sum(1) / total > 0)
        nearest, f = torch.where(covered, zw, torch.inf).min(0)
        hit = nearest < torch.inf
        u, v = ((a[:, k] / total).gather(0, f[None])[0] for k in (0, 1))
        rast = torch.stack([u, v, nearest, f + 1.0], dim=-1)
        return torch.where(hit[..., None], rast, torch.zeros_like(rast))[None], torch.zeros(0)

    def interpolate(attr: Tensor, rast: Tensor, tri: Tensor) -> tuple[Tensor, Tensor]:
        assert attr.is_contiguous()
        u, v, _, number = rast[0].unbind(-1)
        corner = attr[0][tri.long()][(number.long() - 1).clamp_min(0)]
        image = (
            u[..., None] * corner[..., 0, :]
            + v[..., None] * corner[..., 1, :]
            + (1 - u - v)[..., None] * corner[..., 2, :]
        )
        return torch.where(number[..., None] > 0, image, 0.0)[None], torch.zeros(0)

    def antialias(color: Tensor, rast: Tensor, pos: Tensor, tri: Tensor, topology_hash: Any) -> Tensor:
        """With pixels as the camera of an image of this size whose clip coordinates these are."""
        assert topology_hash == "topology" and color.is_contiguous()
        _, height, width, _ = color.shape
        local = pos[0][:, [0, 1, 3]]
        view = View((width / 2, height / 2, width / 2, height / 2), width, height, near=1e-3)
        return cpu.Drawing(local, Triangles(tri.long()), view).antialias(color[0])[None]

    package.rasterize, package.interpolate, package.antialias = rasterize, interpolate, antialias  # type: ignore[attr-defined]
    package.antialias_construct_topology_hash = lambda tri: "topology"  # type: ignore[attr-defined]
    package.RasterizeCudaContext = lambda device: "context"  # type: ignore[attr-defined]
    return package


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    parent, child = ModuleType("nvdiffrast"), stand_in()
    parent.torch = child  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "nvdiffrast", parent)
    monkeypatch.setitem(sys.modules, "nvdiffrast.torch", child)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("scene", [ball, two_balls])
def test_it_agrees_with_the_kernels(scene: Any) -> None:
    positions, triangles = scene()
    found = []
    for draw in (cpu.Drawing, nvdiffrast.Drawing):
        p, v = positions.float().requires_grad_(), colored(positions).float().requires_grad_()
        image = rendered(draw, p, v, Triangles(triangles.faces))
        found.append((image, *torch.autograd.grad((image * weights(image)).sum(), (p, v))))
    for ours, theirs in zip(*found, strict=True):
        assert_close(theirs, ours, rtol=1e-3, atol=1e-3)


def test_clip_coordinates_put_pixels_where_the_camera_has_them() -> None:
    positions, _ = ball()
    clip = nvdiffrast.clip(positions, VIEW)
    fx, fy, cx, cy = VIEW.intrinsics
    x, y, z = positions.unbind(1)
    size = torch.tensor([VIEW.width, VIEW.height])
    assert_close((clip[:, :2] / clip[:, 3:] + 1.0) * size / 2.0, torch.stack([fx * x / z + cx, fy * y / z + cy], dim=1))
    depth = (clip[:, 2] / clip[:, 3])[z.argsort()]
    assert bool((depth.diff() >= 0).all()) and float(depth.abs().max()) < 1.0
    at_near = nvdiffrast.clip(torch.tensor([[0.0, 0.0, VIEW.near]], dtype=torch.float64), VIEW)
    assert_close(at_near[0, 2], -at_near[0, 3])


def test_where_it_does_not_work_auto_takes_another_and_its_name_is_refused() -> None:
    if nvdiffrast.unavailable() is None:
        pytest.skip("nvdiffrast works here")
    assert backends.chosen("auto", "cuda") == backends.chosen("auto", "cpu") == "cpu"
    with pytest.raises(UserError, match=r'nvdiffrast.*backend = "auto"'):
        backends.chosen("nvdiffrast", "cuda")


class OnCuda:
    """The package itself, for positions and images on the CPU."""

    def __init__(self, positions: Tensor, triangles: Triangles, view: View) -> None:
        self._drawn = nvdiffrast.Drawing(positions.float().cuda(), Triangles(triangles.faces.cuda()), view)
        self.hit = self._drawn.hit.cpu()

    def interpolate(self, values: Tensor) -> Tensor:
        return self._drawn.interpolate(values.cuda()).to(values)

    def antialias(self, image: Tensor) -> Tensor:
        return self._drawn.antialias(image.cuda()).to(image)


needs_cuda = pytest.mark.skipif(nvdiffrast.unavailable() is not None, reason=str(nvdiffrast.unavailable()))


def on_grid(positions: Tensor) -> Tensor:
    """Move vertices to where a sixteenth of a pixel has them: nvdiffrast rounds to that to say what covers a pixel."""
    screen = projected(positions, VIEW)
    step = ((16.0 * screen).round() / 16.0 - screen) / screen.new_tensor(VIEW.intrinsics[:2])
    return positions + torch.cat([step * positions[:, 2:], torch.zeros_like(positions[:, 2:])], dim=1)


@needs_cuda
@pytest.mark.parametrize("scene", [ball, two_balls, lambda: ball(3)], ids=["ball", "two balls", "many faces"])
def test_on_cuda_it_agrees_with_the_kernels(scene: Any) -> None:
    positions, triangles = scene()
    positions, found = on_grid(positions), []
    for draw in (cpu.Drawing, OnCuda):
        p, v = positions.clone().requires_grad_(), colored(positions).requires_grad_()
        image = rendered(draw, p, v, triangles)
        found.append((image, *torch.autograd.grad((image * weights(image)).sum(), (p, v))))
    (image, *gradients), (theirs, *their_gradients) = found
    share = ((image - theirs).abs().amax(dim=2) > 1e-3).double().mean().item()
    errors = [((a - b).norm() / a.norm()).item() for a, b in zip(gradients, their_gradients, strict=True)]
    assert share < 0.005 and max(errors) < 0.1, (share, errors)


@needs_cuda
def test_on_cuda_perspective_is_corrected() -> None:
    positions = torch.tensor([[-1.0, -1.0, 1.5], [1.0, -0.8, 4.0], [0.0, 1.0, 2.0]], dtype=torch.float64)
    drawn = OnCuda(positions, Triangles(torch.tensor([[0, 1, 2]])), VIEW)
    points = drawn.interpolate(positions)[drawn.hit]
    fx, fy, cx, cy = VIEW.intrinsics
    pixels = points[:, :2] / points[:, 2:] * points.new_tensor([fx, fy]) + points.new_tensor([cx, cy])
    rows, columns = drawn.hit.nonzero(as_tuple=True)
    error = (pixels - torch.stack([columns, rows], dim=1) - 0.5).abs()
    assert len(rows) > 50
    assert error.quantile(0.99) < 1e-3 and error.max() < 1.0 / 16.0


@needs_cuda
def test_on_cuda_the_area_of_a_disc_and_its_gradients() -> None:
    size = 192
    focal = size / 0.48
    view = View((focal, focal, 0.5 * size + 0.2, 0.5 * size - 0.3), size, size, near=0.1)
    positions, triangles = disc(12, 0.3)
    positions.requires_grad_()
    area, true = rendered_mask(OnCuda, positions, triangles, view).sum(), 3.0 * (focal * 0.15) ** 2
    (d,) = torch.autograd.grad(area, positions)
    by_scale = (d[:, :2] * positions[:, :2]).sum().item()
    assert math.isclose(area.item(), true, rel_tol=0.002)
    assert math.isclose(by_scale, 2.0 * true, rel_tol=0.02)
    assert math.isclose(d[:, 2].sum().item(), -by_scale / 2.0, rel_tol=1e-3)


@needs_cuda
def test_on_cuda_an_edge_half_way_changes_nothing_and_one_farther_blends() -> None:
    triangles = Triangles(torch.tensor([[0, 1, 2], [0, 2, 3]]))
    view = View((1.0, 1.0, 0.0, 0.0), 8, 8)
    for edge, inner, outer in ((4.0, 1.0, 0.0), (4.3, 1.0, 0.3), (3.7, 0.7, 0.0)):
        corners = positions_of([-9.0, -9.1], [edge, -9.1], [edge, 29.3], [-9.0, 29.3])
        mask = rendered_mask(OnCuda, corners, triangles, view)[4, :, 0]
        expected = torch.tensor([1.0, 1.0, 1.0, inner, outer, 0.0, 0.0, 0.0], dtype=torch.float64)
        assert_close(mask, expected, rtol=0.0, atol=1e-3)


@needs_cuda
def test_on_cuda_what_lies_behind_the_camera_is_not_seen_and_has_no_gradient() -> None:
    positions, triangles = ball(1, 0.6, -2.5)
    positions.requires_grad_()
    image = rendered(OnCuda, positions, colored(positions), triangles)
    assert_close(image, BEHIND.expand_as(image))
    (d,) = torch.autograd.grad(image.sum(), positions, allow_unused=True)
    assert d is None or not d.any()
