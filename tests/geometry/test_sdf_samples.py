"""DeepSDF's samples: counts, spreads, exact labels, and a file that either project reads."""

import numpy as np
import pytest
import trimesh

from neuralfw.errors import UserError
from neuralfw.geometry import Mesh, SdfSamples, read_sdf_samples, sample_sdf, write_sdf_samples


def ball(radius=0.8):
    shape = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    return Mesh(np.array(shape.vertices, dtype=np.float64), np.array(shape.faces, dtype=np.int64))


def test_samples_of_a_ball():
    samples = sample_sdf(ball(), 20_000, np.random.default_rng(0))
    rows = np.concatenate([samples.pos, samples.neg])
    assert len(rows) == 20_000 and rows.dtype == np.float32
    assert (samples.pos[:, 3] >= 0).all() and (samples.neg[:, 3] < 0).all()
    np.testing.assert_allclose(rows[:, 3], np.linalg.norm(rows[:, :3], axis=1) - 0.8, atol=2e-3)
    spread = np.sort(np.abs(rows[:, 3]))
    both = np.sqrt((0.005 + 0.0005) / 2)
    assert np.sqrt((spread[:18_800] ** 2).mean()) == pytest.approx(both, rel=0.15)
    assert np.array_equal(
        sample_sdf(ball(), 500, np.random.default_rng(3)).pos, sample_sdf(ball(), 500, np.random.default_rng(3)).pos
    )


def test_only_far_samples_fill_the_cube():
    samples = sample_sdf(ball(), 20_000, np.random.default_rng(0), near=0.0, bound=1.0)
    assert len(samples.neg) / 20_000 == pytest.approx(4 / 3 * np.pi * 0.8**3 / 8, abs=0.01)
    assert np.abs(samples.pos[:, :3]).max() <= 1.0


def test_the_file_reads_back_and_drops_nan_rows(tmp_path):
    samples = sample_sdf(ball(), 1000, np.random.default_rng(0))
    write_sdf_samples(tmp_path / "a.npz", samples)
    back = read_sdf_samples(tmp_path / "a.npz")
    assert np.array_equal(back.pos, samples.pos) and np.array_equal(back.neg, samples.neg)
    with_nan = samples.pos.copy()
    with_nan[3, 3] = np.nan
    np.savez(tmp_path / "deepsdf.npz", pos=with_nan, neg=samples.neg)
    assert len(read_sdf_samples(tmp_path / "deepsdf.npz").pos) == len(samples.pos) - 1
    write_sdf_samples(tmp_path / "empty.npz", SdfSamples(samples.pos, samples.neg[:0]))
    assert read_sdf_samples(tmp_path / "empty.npz").neg.shape == (0, 4)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"pos": np.ones((3, 4))}, "'pos' and 'neg' were expected"),
        ({"pos": np.ones((3, 3)), "neg": -np.ones((3, 4))}, r"shape \(n, 4\)"),
        ({"pos": np.ones((3, 4), dtype=int), "neg": -np.ones((3, 4))}, "numbers"),
        ({"pos": -np.ones((3, 4)), "neg": -np.ones((3, 4))}, "distances ≥ 0"),
        ({"pos": np.array([{}]), "neg": -np.ones((3, 4))}, "pickle"),
    ],
)
def test_what_is_no_sample_file_is_refused(tmp_path, arrays, says):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match=says):
        read_sdf_samples(tmp_path / "a.npz")
