"""Gaussians at the start: where, how large, of which colour; neighbours and harmonics against independent ones."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from known_splats import build, gaussians, turned_frame
from scipy.special import sph_harm_y

from neuralfw.data.images import Images
from neuralfw.errors import UserError
from neuralfw.geometry import Frame
from neuralfw.geometry.writers import write_mesh, write_points
from neuralfw_gaussians.config import GaussiansConfig
from neuralfw_gaussians.field import FLAT, Gaussians
from neuralfw_gaussians.kernels.harmonics import harmonics
from neuralfw_gaussians.neighbors import mean_squared_distance

Y0 = 0.28209479177387814


class Points(Images):
    """Photographs of which only the points to start from are known."""

    points = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0], [9.0, 9.0, 9.0]])
    point_colors = torch.linspace(0.0, 1.0, 15).reshape(5, 3)

    def __init__(self) -> None:
        """Read nothing."""


def started(data: Any = None, **options: Any) -> Gaussians:
    given = build()
    given.scene.data["images"] = Points() if data is None else data
    return Gaussians(GaussiansConfig(**options), given)


def test_they_start_at_the_points_of_the_data() -> None:
    field = started()
    torch.testing.assert_close(field.means, Points.points, atol=0, rtol=0)
    given = field.evaluate({}, frozenset({"gaussians/scales", "gaussians/rotations", "gaussians/opacities"}))
    assert given["gaussians/scales"][0].tolist() == pytest.approx([math.sqrt((1.0 + 4.0 + 9.0) / 3.0)] * 3)
    assert given["gaussians/rotations"].tolist() == [[1.0, 0.0, 0.0, 0.0]] * 5
    assert given["gaussians/opacities"].tolist() == pytest.approx([0.1] * 5)
    torch.testing.assert_close(0.5 + Y0 * field.sh_dc[:, 0], Points.point_colors)
    assert field.sh_rest.shape == (5, 15, 3)
    assert not bool(field.sh_rest.any())


def test_no_more_of_them_than_count() -> None:
    field = started(count=3, opacity=0.5)
    assert len(field.means) == 3
    assert [note.partition(",")[0] for note in field.notes] == ["starts at 3 of 5 points"]
    assert started(count=5).notes == ()
    assert all(any(torch.equal(mean, point) for point in Points.points) for mean in field.means)
    assert field.opacity_logits.tolist() == [0.0] * 3


def test_anywhere_in_the_box() -> None:
    field = started(init="random", count=500)
    assert field.means.shape == (500, 3)
    assert float(field.means.detach().abs().max()) <= 1.0
    assert float(field.means.detach().std(dim=0).min()) > 0.5


def test_no_points_is_a_clear_message() -> None:
    empty = Points()
    empty.points, empty.point_colors = torch.zeros(0, 3), torch.zeros(0, 3)  # type: ignore[misc]
    with pytest.raises(UserError, match='has no points to start from: say init = "random"'):
        started(empty)


def test_points_of_a_file_keep_their_colors_and_come_into_the_training_space(tmp_path: Path) -> None:
    points, colors = np.random.default_rng(0).random((2, 20, 3))
    write_points(tmp_path / "cloud.ply", points, colors=colors)
    given = build()
    given.scene.data["images"], given.scene.frame = Points(), turned_frame()
    field = Gaussians(GaussiansConfig(init="file", file=tmp_path / "cloud.ply"), given)
    expected = torch.from_numpy(turned_frame().to_training(points)).float()
    torch.testing.assert_close(field.means.detach(), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        0.5 + Y0 * field.sh_dc[:, 0].detach(), torch.from_numpy(colors).float(), atol=3e-3, rtol=0
    )


def test_of_a_file_with_more_points_than_count_some_are_drawn_and_that_is_said(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32).astype(np.float64)
    write_points(tmp_path / "cloud.ply", points)
    field = started(init="file", file=tmp_path / "cloud.ply", count=20)
    assert len(field.means) == 20
    assert all((points == mean).all(axis=1).any() for mean in field.means.detach().double().numpy())
    assert [note.partition(",")[0] for note in field.notes] == ["starts at 20 of 50 points"]
    assert started(init="file", file=tmp_path / "cloud.ply", count=50).notes == ()


def test_a_mesh_is_sampled(tmp_path: Path) -> None:
    vertices = np.array([[0.0, 0.0, 0.5], [1.0, 0.0, 0.5], [0.0, 1.0, 0.5]])
    write_mesh(tmp_path / "mesh.ply", vertices, np.array([[0, 1, 2]]))
    field = started(init="file", file=tmp_path / "mesh.ply", count=100)
    assert len(field.means) == 100
    assert field.means[:, 2].tolist() == pytest.approx([0.5] * 100)
    assert float(field.means[:, :2].detach().sum(dim=1).max()) <= 1.0 + 1e-6


def test_the_degree_grows_with_the_run() -> None:
    field = started(sh_every=100)
    want = frozenset({"gaussians/sh"})
    for step, count in ((0, 1), (99, 1), (100, 4), (299, 9), (300, 16), (5000, 16)):
        field._clock.run = step
        assert field.evaluate({}, want)["gaussians/sh"].shape == (5, count, 3)


def test_harmonics_that_were_learnt_before_count_from_the_first_step(tmp_path: Path) -> None:
    for known in (0, 1, 3):
        (path,) = gaussians(5, known).export(tmp_path / f"degree_{known}", Frame.identity())
        field = started(sh_every=100)
        field.read(path, Frame.identity())
        assert field.degree == known
        field._clock.run = 200
        assert field.degree == max(known, 2)


def test_surfels_are_flat_and_only_two_scales_learn() -> None:
    field = gaussians(10, 0, surfels=True)
    scales = field.evaluate({}, frozenset({"gaussians/scales"}))["gaussians/scales"]
    torch.testing.assert_close(scales[:, 2], FLAT * scales[:, :2].amin(dim=1))
    scales.sum().backward()
    assert field.log_scales.grad is not None
    assert not bool(field.log_scales.grad[:, 2].any())
    assert bool((field.log_scales.grad[:, :2] != 0).all())


def test_rates_of_the_paper_times_the_extent() -> None:
    groups = GaussiansConfig(extent=4.0).optimisers()
    rate: Any = groups["means"].lr
    assert (rate.start, rate.end) == pytest.approx((6.4e-4, 6.4e-6))
    assert {name: group.lr for name, group in groups.items() if name != "means"} == {
        "log_scales": 5e-3, "quaternions": 1e-3, "opacity_logits": 0.05, "sh_dc": 2.5e-3, "sh_rest": 1.25e-4,
    }  # fmt: skip
    assert {group.eps for group in groups.values()} == {1e-15}
    assert groups.keys() == {name for name, _ in gaussians(1).named_parameters()}


# -- neighbours and harmonics --------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(st.integers(2, 60), st.integers(1, 5), st.integers(0, 1000))
def test_neighbors_by_brute_force(count: int, neighbors: int, seed: int) -> None:
    points = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    squared = torch.cdist(points.double(), points.double()).square().fill_diagonal_(math.inf).sort(dim=1).values
    expected = squared[:, : min(neighbors, count - 1)].mean(dim=1).float()
    torch.testing.assert_close(mean_squared_distance(points, neighbors), expected, atol=1e-6, rtol=1e-4)


def test_points_that_coincide_or_stand_alone_have_no_distance() -> None:
    assert mean_squared_distance(torch.ones(1, 3)).tolist() == [0.0]
    assert mean_squared_distance(torch.ones(6, 3)).tolist() == [0.0] * 6
    assert bool(torch.isfinite(started(init="random", count=1).log_scales).all())


def test_harmonics_are_those_of_scipy_with_the_signs_of_3dgs() -> None:
    """Real harmonics from complex ones: with the Condon-Shortley phase, as the constants of 3DGS have it."""
    directions = np.random.default_rng(0).normal(size=(50, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    polar, azimuth = np.arccos(directions[:, 2]), np.arctan2(directions[:, 1], directions[:, 0])
    found = np.empty((50, 16))
    for row, d in zip(found, directions, strict=True):
        harmonics(16, *d, row)
    for l in range(4):  # noqa: E741 (the name of the degree)
        for m in range(-l, l + 1):
            complex_one = sph_harm_y(l, abs(m), polar, azimuth)
            part = complex_one.imag if m < 0 else complex_one.real
            np.testing.assert_allclose(found[:, l * l + l + m], part * (math.sqrt(2.0) if m else 1.0), atol=1e-12)
