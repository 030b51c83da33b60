"""Every shipped recipe, cut short: each of its stages trains, and what it says is exported and evaluated."""

from pathlib import Path

import pytest

from neuralfw.errors import UserError
from neuralfw.session import check, train
from neuralfw.shipped import shipped_recipes

SMALL = "export.mesher.resolution=24"
STEPS = 2
QUICK = {"gs_pull", "gs_pull_paper", "gs_pull_release", "gaussians_3d", "igr"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in shipped_recipes()]
)
def test_shipped_recipe_runs_to_its_end(name: str, tmp_path: Path) -> None:
    stages = check(name).recipe.stages
    short = [f"stages.{stage.name}.steps={STEPS}" for stage in stages if stage.steps != 0]
    run = train(name, [*short, *spheres(name), *resolution(name)], out=tmp_path / "run")
    assert (run / "metrics.jsonl").read_text().count("\n") >= len(short)
    assert [*run.glob("meshes/*.ply"), *run.glob("gaussians/*.ply")]


def spheres(name: str) -> list[str]:
    """Return the settings with which distances that begin plainly have a surface from the first step."""
    fields = [(key, spec.config) for key, spec in check(name).recipe.fields.items()]
    plain = [
        key
        for key, config in fields
        if getattr(config, "role", "") == "sdf" and getattr(config, "start", "") == "plain"
    ]
    return [f"fields.{key}.start=sphere" for key in plain]


def resolution(name: str) -> list[str]:
    """Return the setting of a coarse mesh, where a recipe makes one."""
    try:
        check(name, [SMALL])
    except UserError:
        return []
    return [SMALL]
