"""Signed distances of classes of shapes: the files of DeepSDF, labels made from surfaces, and how batches are drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from known_shapes import Build, sphere_points, torus_distance, torus_points

from neuralfw.components import Draw, Quantities
from neuralfw.errors import UserError
from neuralfw.geometry import Frame, write_mesh
from neuralfw.streams import stream
from neuralfw_deepsdf.config import SdfSamplesConfig
from neuralfw_deepsdf.labels import sample_sdf_of_points
from neuralfw_deepsdf.samples import SdfSamples

RECIPE = """
[data.shapes]
type = "sdf_samples"
path = "{path}"
samples = 2000
{options}

[fields.codes]
type = "latents"
per  = "shapes"
dim  = 2

[fields.sdf]
type   = "deepsdf_decoder"
latent = "codes"
width  = 16
layers = 2
skip   = []

[[stages]]
steps  = 1
train  = ["sdf"]
passes = {{ samples = {{ data = "shapes" }} }}
losses = [{{ type = "clamped_l1", on = "samples" }}]
"""


@pytest.fixture
def dataset(build: Build, write_recipe):
    def make(path: Path, options: str = "") -> SdfSamples:
        data = build(write_recipe(RECIPE.format(path=path, options=options))).data["shapes"]
        assert isinstance(data, SdfSamples)
        return data

    return make


def draw(data: SdfSamples, items: int, points: int, index: int = 0) -> Quantities:
    options = SdfSamplesConfig.Draw(items=items, points=points)
    return data.sample(Draw("", options, index, lambda k: stream(0, "test", step=k), scene=None))  # type: ignore[arg-type]


def write_npz(path: Path, value: float, count: int = 40) -> None:
    """Samples that tell their shape by their first coordinate."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.full((count, 4), value, dtype=np.float32)
    rows[:, 3] = 0.1
    np.savez(path, pos=rows, neg=rows * [1, 1, 1, -1])


def test_labels_are_the_distances_of_the_surface() -> None:
    surface = torus_points(20_000)
    found = sample_sdf_of_points(surface[:, :3], surface[:, 3:], 4000, np.random.default_rng(0))
    rows = np.concatenate([found.pos, found.neg]).astype(np.float64)
    assert np.abs(rows[:, 3] - torus_distance(rows[:, :3])).max() < 0.02
    assert (found.pos[:, 3] > 0).all() and (found.neg[:, 3] <= 0).all()
    assert len(rows) > 3600  # few samples have neighbours that disagree


def test_labels_near_a_doubtful_sign_are_left_out() -> None:
    surface = sphere_points(2000)
    normals = surface[:, 3:] * np.where(np.random.default_rng(1).random(2000) < 0.5, -1.0, 1.0)[:, None]
    found = sample_sdf_of_points(surface[:, :3], normals, 4000, np.random.default_rng(0))
    assert len(found.pos) + len(found.neg) < 100


def test_each_shape_is_brought_into_the_unit_sphere_and_remembers_its_world(dataset, tmp_path: Path) -> None:
    (tmp_path / "class").mkdir()
    for name, size in (("small", 0.01), ("large", 50.0)):
        rows = torus_points(3000) * ([size] * 3 + [1.0] * 3) + ([5.0, 0.0, 0.0] + [0.0] * 3)
        np.savetxt(tmp_path / "class" / f"{name}.pts", rows)
    data = dataset(tmp_path / "class")
    assert data.shapes == ("large", "small")
    batch = draw(data, items=2, points=1000)
    for frame, size in zip(data.shape_frames, (50.0, 0.01), strict=True):
        assert frame.scale == pytest.approx(1 / 1.03 / (0.95 * size), rel=1e-2)
        assert np.abs(frame.center - [5.0, 0.0, 0.0]).max() < 0.02 * size
    true = torus_distance(batch["points"].double().numpy() * 1.03 * 0.95) / (1.03 * 0.95)
    assert np.abs(batch["sdf"].numpy() - true).mean() < 0.01


def test_normalize_none_takes_shapes_as_they_lie(dataset, sphere_file: Path) -> None:
    assert dataset(sphere_file, 'normalize = "none"').shape_frames == (Frame.identity(),)


def test_a_split_names_deepsdfs_files_and_their_normalisation_is_read(dataset, tmp_path: Path) -> None:
    root = tmp_path / "data"
    for k, name in enumerate("abc"):
        write_npz(root / "SdfSamples" / "shapenet" / "chairs" / f"{name}.npz", float(k))
    normalisation = root / "NormalizationParameters" / "shapenet" / "chairs" / "c.npz"
    normalisation.parent.mkdir(parents=True)
    np.savez(normalisation, offset=np.array([1.0, 2.0, 3.0]), scale=np.array(0.5))
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"shapenet": {"chairs": ["c", "a"]}}))
    data = dataset(root, f'split = "{split}"')
    assert data.shapes == ("shapenet/chairs/c", "shapenet/chairs/a")
    assert data.shape_frames == (Frame(center=np.array([-1.0, -2.0, -3.0]), scale=0.5), Frame.identity())
    batch = draw(data, items=2, points=10)
    assert torch.equal(batch["points"][:, 0], 2.0 - 2.0 * batch["index"])


def test_half_of_a_shapes_samples_are_inside(dataset, tmp_path: Path) -> None:
    write_npz(tmp_path / "s" / "one.npz", 0.5)
    batch = draw(dataset(tmp_path / "s"), items=8, points=31)
    assert (len(batch["sdf"]), int((batch["sdf"] < 0).sum())) == (31, 15)


def test_rows_that_are_not_finite_are_dropped_and_an_empty_side_gives_way(dataset, tmp_path: Path) -> None:
    rows = np.full((20, 4), 0.25, dtype=np.float32)
    rows[::2, 3] = np.nan
    np.savez(tmp_path / "open.npz", pos=rows, neg=np.zeros((0, 4), dtype=np.float32))
    batch = draw(dataset(tmp_path / "open.npz"), items=1, points=30)
    assert len(batch["sdf"]) == 30 and bool((batch["sdf"] == 0.25).all())


def test_samples_of_a_mesh_have_exact_distances(dataset, tmp_path: Path) -> None:
    ball = trimesh.creation.icosphere(4, radius=3.0)
    write_mesh(tmp_path / "ball.ply", ball.vertices, ball.faces)
    batch = draw(dataset(tmp_path / "ball.ply"), items=1, points=1000)
    true = batch["points"].norm(dim=1) - 1 / 1.03
    assert (batch["sdf"] - true).abs().max() < 0.003


def test_an_epoch_visits_every_shape_once(dataset, tmp_path: Path) -> None:
    for k in range(5):
        write_npz(tmp_path / "s" / f"{k}.npz", float(k))
    data = dataset(tmp_path / "s")
    options = SdfSamplesConfig.Draw(items=2, points=4)
    assert data.batches("", options) == 3
    for epoch in range(2):
        seen = torch.cat([draw(data, 2, 4, 3 * epoch + k)["index"] for k in range(3)])
        assert seen.bincount().tolist() == [4] * 5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: d / "absent", "does not exist"),
        (lambda d: d, "holds no npz file, mesh or point cloud"),
    ],
)
def test_no_shapes_are_told_clearly(dataset, tmp_path: Path, make, message: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=message):
        dataset(make(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "names no instances"),
        ("[1]", "is no split"),
        ('{"a": {"b": ["gone"]}}', "the split names a/b/gone"),
        ("not json", "is no split"),
    ],
)
def test_a_bad_split_is_told_clearly(dataset, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "split.json").write_text(text)
    with pytest.raises(UserError, match=message):
        dataset(tmp_path / "s", f'split = "{tmp_path / "split.json"}"')


def test_samples_of_another_shape_are_told_clearly(dataset, tmp_path: Path) -> None:
    np.savez(tmp_path / "bad.npz", pos=np.zeros((4, 3)), neg=np.zeros((4, 4)))
    with pytest.raises(UserError, match=r"'pos' must be numbers of shape \(n, 4\)"):
        dataset(tmp_path / "bad.npz")
