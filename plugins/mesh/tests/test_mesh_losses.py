"""Losses of images at several sizes and of surfaces, against closed forms and independent computations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh
from scipy.ndimage import convolve1d
from torch import Tensor

from neuralfw.geometry.camera import Camera
from neuralfw.testing import build_component
from neuralfw_mesh.shape_losses import emptiness, face_vectors


def ball(radius: float = 0.5) -> dict[str, Tensor]:
    made = trimesh.creation.icosphere(3, radius)
    return {"vertices": torch.from_numpy(np.array(made.vertices)), "faces": torch.from_numpy(np.array(made.faces))}


def gradient(loss: Tensor, surface: dict[str, Tensor]) -> Tensor:
    return torch.autograd.grad(loss, surface["vertices"])[0]


def test_the_pyramid_is_the_sum_over_sizes_by_scipy() -> None:
    rng = np.random.default_rng(0)
    a, b, alpha, mask = (
        rng.random((2, 24, 20, 3)),
        rng.random((2, 24, 20, 3)),
        rng.random((2, 24, 20)),
        np.ones((2, 24, 20)),
    )
    expected, rgb, opacity = 0.0, a - b, alpha - mask
    for level in range(3):
        if level:
            taps = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0
            rgb, opacity = (
                convolve1d(convolve1d(x, taps, axis=1, mode="mirror"), taps, axis=2, mode="mirror")[:, ::2, ::2]
                for x in (rgb, opacity)
            )
        expected += (np.square(rgb).mean() + np.square(opacity).mean()) / max(1, level)
    outputs = {"rgb": torch.from_numpy(a), "alpha": torch.from_numpy(alpha)}
    batch = {"rgb": torch.from_numpy(b), "mask": torch.from_numpy(mask)}
    assert float(build_component("loss", "pyramid", {"levels": 3})(outputs, batch)) == pytest.approx(expected)
    colors = build_component("loss", "pyramid", {"levels": 1, "alpha": False})(outputs, batch)
    assert float(colors) == pytest.approx(np.square(a - b).mean())


def test_a_pyramid_of_small_images_ends_where_they_do() -> None:
    outputs, batch = {"rgb": torch.ones(1, 4, 4, 3), "alpha": torch.ones(1, 4, 4)}, {"rgb": torch.zeros(1, 4, 4, 3)}
    assert float(build_component("loss", "pyramid", {"levels": 9})(outputs, batch)) == pytest.approx(2.0)


def test_the_laplacian_is_the_trace_with_the_graphs_matrix() -> None:
    surface = ball()
    graph = trimesh.Trimesh(surface["vertices"], surface["faces"], process=False).vertex_adjacency_graph
    matrix = torch.zeros(len(surface["vertices"]), len(surface["vertices"]), dtype=torch.float64)
    for i, j in graph.edges:
        matrix[i, j] = matrix[j, i] = -1.0
    matrix -= torch.diag(matrix.sum(dim=1))
    expected = torch.trace(surface["vertices"].T @ matrix @ surface["vertices"])
    assert float(build_component("loss", "laplacian")(surface, {})) == pytest.approx(float(expected))


def test_the_area_has_the_gradient_of_the_mean_curvature_and_none_of_a_face_without_area() -> None:
    surface = ball(0.5)
    surface["vertices"].requires_grad_()
    area = build_component("loss", "area")(surface, {})
    assert float(area.detach()) == pytest.approx(4.0 * np.pi * 0.25, rel=0.01)
    assert float((gradient(area, surface) * surface["vertices"]).sum().detach()) == pytest.approx(
        2.0 * float(area.detach())
    )
    flat = {"vertices": torch.zeros(3, 3, requires_grad=True), "faces": torch.tensor([[0, 1, 2]])}
    assert gradient(build_component("loss", "area")(flat, {}), flat).isfinite().all()


def views(mask: Tensor) -> dict[str, Tensor]:
    """Return a camera that looks along x at the origin from 4 away, and its mask."""
    camera = Camera.look_at([4.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0], focal=40.0, width=32, height=32)
    poses = torch.from_numpy(camera.world_to_camera)[None]
    return {
        "mask": mask[None].double(),
        "world_to_camera": poses,
        "intrinsics": torch.from_numpy(camera.intrinsics)[None],
    }


def test_what_is_seen_before_nothing_is_carved_with_the_gradient_of_the_volume() -> None:
    surface = ball()
    surface["vertices"].requires_grad_()
    carve = build_component("loss", "carve")(surface, views(torch.zeros(32, 32)))
    assert float(carve.detach()) == pytest.approx(1.0)
    volume = (
        face_vectors(surface["vertices"], surface["faces"]) * surface["vertices"][surface["faces"][:, 0]]
    ).sum() / 3.0
    torch.testing.assert_close(gradient(carve, surface), gradient(volume, surface))


def test_only_what_some_photograph_sees_before_nothing_is_carved() -> None:
    mask = torch.zeros(32, 32)
    mask[:, 16:] = 1.0  # the camera's right, which is +y
    points = torch.tensor([[0.0, -0.5, 0.0], [0.0, 0.5, 0.0], [0.0, -9.0, 0.0], [9.0, -0.1, 0.0]], dtype=torch.float64)
    assert emptiness(points, views(mask)).tolist() == [1.0, 0.0, 0.0, 0.0]
    full = views(torch.ones(32, 32))
    both = {q: torch.cat([views(mask)[q], full[q]]) for q in full}
    assert emptiness(points, both).tolist() == [1.0, 0.0, 0.0, 0.0]
