"""The losses of Gaussians against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from known_splats import gaussians

from neuralfw.testing import build_component
from neuralfw_gaussians.losses import depth_normals


def value(name, outputs, batch=None, **options):
    return build_component("loss", name, options)(outputs, batch or {})


def test_thin_is_the_mean_of_the_smallest_scale():
    scales = torch.tensor([[1.0, 0.2, 3.0], [0.4, 5.0, 6.0]])
    assert value("thin", {"gaussians/scales": scales}) == pytest.approx(0.3)
    assert value("scale", {"gaussians/scales": scales}) == pytest.approx(float(scales.mean()))


@pytest.mark.parametrize(("target", "expected"), [(0, 0.4), (1, 0.6)])
def test_opacity(target, expected):
    assert value("opacity", {"gaussians/opacities": torch.tensor([0.1, 0.7])}, target=target) == pytest.approx(expected)


def test_entropy_is_largest_half_way():
    assert value("entropy", {"gaussians/opacities": torch.tensor([0.5])}) == pytest.approx(math.log(2.0))
    assert value("entropy", {"gaussians/opacities": torch.tensor([1e-9, 1.0])}) < 1e-4


@pytest.mark.parametrize("name", ["thin", "scale", "opacity", "entropy"])
def test_nothing_costs_nothing(name):
    empty = {"gaussians/scales": torch.zeros(0, 3), "gaussians/opacities": torch.zeros(0)}
    if name == "thin":
        empty["gaussians/scales"] = torch.zeros(0, 3)
    assert value(name, empty) == 0.0


def plane(normal, height=20, width=24):
    """Return the depth of a plane through (0, 0, 4) in camera axes, its intrinsics and a turned camera."""
    intrinsics = torch.tensor([[30.0, 32.0, 11.0, 9.5]])
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    rays = torch.stack([(x - 11.0) / 30.0, (y - 9.5) / 32.0, torch.ones_like(x)], dim=-1)
    depth = 4.0 * normal[2] / (rays @ normal)
    pose = torch.eye(4)
    pose[:3, :3] = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    return depth[None], intrinsics, pose[None]


def test_normals_of_depth_are_those_of_the_plane():
    normal = torch.nn.functional.normalize(torch.tensor([0.3, -0.2, -1.0]), dim=0)
    depth, intrinsics, pose = plane(normal)
    found = depth_normals(depth, intrinsics, pose)[0, 1:-1, 1:-1]
    expected = pose[0, :3, :3].T @ normal
    torch.testing.assert_close(found, expected.expand_as(found), atol=1e-4, rtol=0)


def test_normal_consistency_is_0_for_a_plane_and_grows_with_the_angle():
    normal = torch.nn.functional.normalize(torch.tensor([0.3, -0.2, -1.0]), dim=0)
    depth, intrinsics, pose = plane(normal)
    batch = {"intrinsics": intrinsics, "world_to_camera": pose}
    right = (pose[0, :3, :3].T @ normal).expand(1, 20, 24, 3)
    outputs = {"depth": depth, "alpha": torch.ones(1, 20, 24), "normal": right}
    assert abs(value("normal_consistency", outputs, batch)) < 1e-5
    inner = (18 * 22) / (20 * 24)
    assert value("normal_consistency", {**outputs, "normal": -right}, batch) == pytest.approx(2.0 * inner, rel=1e-3)
    assert value("normal_consistency", {**outputs, "alpha": torch.zeros(1, 20, 24)}, batch) == 0.0


@pytest.mark.parametrize(("known", "degree"), [(0, 0), (1, 1), (3, 3)])
def test_the_degree_starts_from_the_harmonics_that_there_are(known, degree):
    field = gaussians(5, 3)
    field._config = field._config.model_copy(update={"sh_every": 100})
    with torch.no_grad():
        field.sh_rest[:, (known + 1) ** 2 - 1 :] = 0.0
    assert field.degree == degree
    field._clock.run = 250
    assert field.degree == max(degree, 2)
