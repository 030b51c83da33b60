"""Each method, trained for seconds with a small network, comes closer to a known surface than a broken one does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Float64
from known_shapes import Train, torus_distance, torus_points

from neuralfw.run import Run
from neuralfw.session import check, shipped_recipes

OURS = [
    "deepsdf", "deepsdf_paper", "deepsdf_release", "deepsdf_class", "deepsdf_class_paper", "deepsdf_infer",
    "deepsdf_complete", "igr", "sal", "neural_pull", "siren",
]  # fmt: skip

SMALL = ["fields.sdf.width=64", "fields.sdf.layers=3", "fields.sdf.skip=[]"]


def about(distance: float, count: int = 2000) -> Float64[np.ndarray, "n 3"]:
    """Points at most so far from the torus."""
    rng = np.random.default_rng(1)
    rows = torus_points(count, seed=1)
    return rows[:, :3] + rng.uniform(-distance, distance, (count, 1)) * rows[:, 3:]


def error(run: Run, x: Float64[np.ndarray, "n 3"]) -> float:
    return float(np.abs(run.sdf(x) - torus_distance(x)).mean())


def right_signs(run: Run, x: Float64[np.ndarray, "n 3"]) -> float:
    clear = np.abs(torus_distance(x)) > 0.03
    return float((np.sign(run.sdf(x)) == np.sign(torus_distance(x)))[clear].mean())


@pytest.mark.parametrize("name", OURS)
def test_every_recipe_is_shipped_and_checks(name: str) -> None:
    assert name in shipped_recipes()
    recipe = check(name).recipe
    assert recipe.name == name and recipe.summary
    assert recipe.export is not None


def test_completion_goes_without_a_sensor() -> None:
    gone = ["data.empty", "stages.code.passes.empty", "stages.code.losses.outside"]
    (stage,) = check("deepsdf_complete", [f"{key}.remove=true" for key in gone]).recipe.stages
    assert [*stage.passes] == ["near"]


def test_igr(trained: Train, torus_file: Path) -> None:
    run = trained(
        "igr", *SMALL, f"data.points.path={torus_file}", "stages.fit.steps=200", "stages.fit.train.sdf.lr.start=2e-3",
        "stages.fit.passes.surface.batch=256", "data.near.batch=128", "data.space.batch=128",
    )  # fmt: skip
    assert error(run, about(0.0)) < 0.004
    assert error(run, about(0.1)) < 0.04


def test_siren(trained: Train, torus_file: Path) -> None:
    run = trained(
        "siren", *SMALL, f"data.points.path={torus_file}", "stages.fit.steps=200", "stages.fit.train.sdf.lr.start=1e-3",
        "stages.fit.passes.surface.batch=256", "data.space.batch=256",
    )  # fmt: skip
    assert error(run, about(0.0)) < 0.006
    assert right_signs(run, about(0.1)) > 0.8


def test_sal_finds_the_sign_itself(trained: Train, torus_file: Path) -> None:
    run = trained(
        "sal", *SMALL, f"data.points.path={torus_file}", "stages.fit.steps=200", "stages.fit.train.sdf.lr.start=3e-3",
        "data.around.batch=512",
    )  # fmt: skip
    x = np.random.default_rng(0).uniform(-1.0, 1.0, (2000, 3))
    assert error(run, about(0.1)) < 0.03
    assert right_signs(run, about(0.1)) > 0.95
    assert right_signs(run, x) > 0.98


def test_neural_pull_moves_queries_onto_the_surface(trained: Train, torus_file: Path) -> None:
    run = trained(
        "neural_pull", *SMALL, f"data.points.path={torus_file}", "stages.fit.steps=200",
        "stages.fit.train.sdf.lr.start=3e-3", "data.around.batch=512",
    )  # fmt: skip
    x = about(0.1)
    points = torch.from_numpy(run.frame.to_training(x)).float()
    batch = {"points": points, "nearest": points}
    pulled = run.scene.renderers["pull"](run.view, batch, frozenset({"pulled"}))["pulled"]
    moved = run.frame.to_world(pulled.double().numpy())
    assert np.abs(torus_distance(moved)).mean() < 0.6 * np.abs(torus_distance(x)).mean()
    assert right_signs(run, x) > 0.85


@pytest.mark.parametrize("recipe", ["deepsdf", "deepsdf_paper"])
def test_deepsdf(trained: Train, torus_file: Path, recipe: str) -> None:
    run = trained(
        recipe, f"data.points.path={torus_file}", "fields.sdf.width=128", "fields.sdf.layers=3", "fields.sdf.skip=[2]",
        "fields.sdf.dropout=0", "stages.fit.steps=300", 'stages.fit.train.sdf.lr={ type = "cosine", start = 1e-3 }',
        "data.samples.batch=512",
    )  # fmt: skip
    assert error(run, about(0.0)) < 0.02
    assert right_signs(run, about(0.08)) > 0.95


def test_validation_moves_no_weight(trained: Train, sphere_file: Path) -> None:
    common = [
        f"data.points.path={sphere_file}", "fields.sdf.width=16", "fields.sdf.layers=2", "fields.sdf.skip=[]",
        "stages.fit.steps=12", "data.samples.batch=64",
    ]  # fmt: skip
    judged = trained("deepsdf_paper", *common, "validation.every=1", out="judged")
    alone = trained("deepsdf_paper", *common, "validation.every=1000", out="alone")
    for (name, a), (_, b) in zip(judged.scene.named_parameters(), alone.scene.named_parameters(), strict=True):
        assert torch.equal(a, b), name
    verdicts = [line for line in judged.folder.metrics.read_text().splitlines() if "validation" in line]
    assert len(verdicts) == 12
    assert (judged.folder.checkpoints / "best").is_file()


@pytest.mark.slow
def test_igr_finds_the_radius_of_a_sphere_to_one_per_cent(trained: Train, sphere_file: Path) -> None:
    run = trained("igr", f"data.points.path={sphere_file}", "stages.fit.steps=400", "export.mesher.resolution=64")
    radius = np.linalg.norm(run.mesh().vertices, axis=1)
    assert np.abs(radius - 1.0).max() < 0.01
