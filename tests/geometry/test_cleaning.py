"""Cleaning drops what is no surface point, keeps everything else, and says so."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralfw.errors import UserError
from neuralfw.geometry import Frame, PointCloud, clean, find_outliers, read_point_cloud
from neuralfw.geometry.point_cloud import quantization


def ball(n=400, seed=0):
    """Uniform points of the unit sphere."""
    x = np.random.default_rng(seed).normal(size=(n, 3))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@given(offset=st.sampled_from([0.0, 5.4e6]), scale=st.sampled_from([1e-3, 1.0, 1e3]), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_each_kind_of_dirt_is_removed_and_named(offset, scale, seed):
    good = ball(seed=seed) * scale + offset
    dirt = np.vstack(
        [good[:5], np.full((3, 3), np.nan), [[np.inf, 0, 0]], good[:1] + 40 * scale, good[:1] - 90 * scale]
    )
    points = np.vstack([good, dirt])
    cloud = clean(PointCloud(points, normals=2 * np.ones_like(points), colors=np.zeros_like(points)))
    assert np.array_equal(cloud.points, good)
    np.testing.assert_allclose(np.linalg.norm(cloud.normals, axis=1), 1.0)
    assert len(cloud.colors) == len(good)
    assert [note.split(" of ")[0] for note in cloud.notes] == ["4", "5", "2"]
    for note, word in zip(cloud.notes, ("not finite", "repeat", "outliers"), strict=True):
        assert word in note


def test_a_clean_cloud_passes_unchanged():
    cloud = PointCloud(ball(), normals=ball())
    cleaned = clean(cloud)
    assert np.array_equal(cleaned.points, cloud.points) and cleaned.notes == ()
    np.testing.assert_allclose(cleaned.normals, cloud.normals, atol=1e-15)


def test_outliers_do_not_shrink_the_object():
    points = np.vstack([ball(), [[300.0, 0, 0]]])
    assert Frame.fit(clean(PointCloud(points)).points, "sphere").scale == pytest.approx(1.0, rel=0.05)
    kept = clean(PointCloud(points), remove_outliers=False)
    assert len(kept) == 401 and Frame.fit(kept.points, "sphere").scale < 0.01


def test_uneven_density_is_no_outlier():
    radius = np.geomspace(1, 1000, 5000)
    angle = np.arange(5000) * 2.4
    spiral = np.stack([radius * np.cos(angle), radius * np.sin(angle), 0 * radius], axis=1)
    assert not find_outliers(spiral).any()


@given(step=st.sampled_from([0.05, 0.5]), axis=st.integers(0, 2))
def test_a_coarse_lattice_is_recognised(step, axis):
    points = ball(2000)
    points[:, axis] = np.round(points[:, axis] / step) * step
    steps = quantization(points)
    assert steps[axis] == pytest.approx(step)
    assert all(s == 0.0 for i, s in enumerate(steps) if i != axis)


def test_fine_lattices_do_not_matter():
    assert quantization(np.round(ball(), 6)) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("bad", [0.0, np.nan])
def test_normals_without_direction_are_not_used(bad):
    normals = ball()
    normals[3] = bad
    cloud = clean(PointCloud(ball(), normals))
    assert cloud.normals is None and "1 normals have no direction" in cloud.notes[0]


def test_too_few_points_are_refused_with_the_history():
    points = np.vstack([ball(7), ball(7)])
    with pytest.raises(UserError, match=r"only 7 usable points.*7 of 14"):
        clean(PointCloud(points))


def test_airborne_lidar(shapes):
    cloud = clean(read_point_cloud(shapes / "lidar_samp31/samp31-utm.pcd"))
    assert cloud.notes == (
        "212 of 28,862 points that repeat another point exactly were merged",
        "6 of 28,650 points far from all others were dropped as outliers",
        "coordinates are quantised to 0.5 along y",
    )
    assert np.ptp(cloud.points, axis=0) == pytest.approx([174, 161.5, 47.5], abs=1.0)


def test_kinect_needs_no_cleaning(shapes):
    assert clean(read_point_cloud(shapes / "kinect_milk/milk.pcd")).notes == ()
