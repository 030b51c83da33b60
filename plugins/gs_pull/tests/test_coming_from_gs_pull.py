"""Every row of docs/coming_from/gs_pull.md does here what it says, and every flag of the seed has one."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from neuralfw.cli import app
from neuralfw.recipe.model import dump
from neuralfw.session import check
from neuralfw.testing.pages import ComingFrom, call, value_at

ROOT = Path(__file__).resolve().parents[3]
PAGE = ComingFrom(ROOT / "docs" / "coming_from" / "gs_pull.md")
FLAGS = [
    "-s", "-m", "-w", "--iterations", "-c", "--output", "-g", "-o", "--eval", "--gpu", "--dataset_name", "-i",
    "--resolution", "extract_mesh.py", "metrics.py", "clean_eval_dtu_mesh.py", "custom_mc",
]  # fmt: skip
OF_THE_USER = ("data.images", "fields.sdf", "stages.appearance.train")


@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_and_program_is_on_the_page(flag: str) -> None:
    assert PAGE.mentions(flag)


@pytest.mark.parametrize("there", PAGE.settings)
def test_a_setting_is_taken_and_is_that_of_the_release(there: str) -> None:
    (override,) = shlex.split(PAGE.settings[there])[1:]
    path, _, text = override.partition("=")
    changed = dump(check("gs_pull_release", [override.replace("DATA", str(ROOT / "recipes/data/mic"))]).recipe)
    if not path.startswith(OF_THE_USER):
        assert value_at(changed, path) == value_at(dump(check("gs_pull_release").recipe), path) == float(text)


@pytest.mark.parametrize("recipe", ["gs_pull", "gs_pull_paper", "gs_pull_release", "gs_pull_udf"])
def test_the_recipes_are_sound(recipe: str) -> None:
    checked = check(recipe)
    assert [stage.name for stage in checked.recipe.stages][-1] == "geometry"


QUICK = [
    "stages.appearance.steps=3", "stages.geometry.steps=2", "data.images.max_size=40", "data.images.init_count=300",
    "fields.sdf.of.width=16", "fields.sdf.of.layers=2", "stages.geometry.passes.queries.batch=64",
    "export.mesher.resolution=12", "log.tensorboard=false", "log.report=false", "data.near.min_opacity=0.0",
]  # fmt: skip
OF_A_RECIPE = {
    "gs_pull": ["stages.geometry.callbacks.fit_box.min_opacity=0.0", "data.near.votes=1000", "fields.sdf.of.omega=5.0"],
    "gs_pull_paper": ["fields.sdf.of.skip=[]", "export.mesher.level=0.05"],
    "gs_pull_release": [
        "fields.sdf.of.skip=[]", "stages.opacity.steps=1", "stages.opacity.callbacks.prune.min_opacity=0.0",
        "stages.geometry.passes.centers.batch=32", "export.mesher.level=0.05",
    ],
    "gs_pull_udf": ["fields.sdf.of.skip=[]"],
}  # fmt: skip


def words(overrides: list[str]) -> list[str]:
    return [word for override in overrides for word in ("--set", override)]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seed")
    (folder / "DATA").symlink_to(ROOT / "recipes" / "data" / "mic")
    return folder


@pytest.mark.slow
def test_the_commands_work(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    runs = [command for command in sorted(PAGE.commands) if " run " in command]
    runs.sort(key=lambda command: "GAUSSIANS" in command)
    for number, command in enumerate(runs):
        recipe = shlex.split(command)[2]
        quick = [*QUICK, *OF_A_RECIPE[recipe]] if recipe in OF_A_RECIPE else [QUICK[0], *QUICK[2:4], QUICK[-2]]
        quick = [q for q in quick if "stages.appearance" not in q] if "--from" in command else quick
        given = shlex.split(command.replace("GAUSSIANS", "run0/gaussians/gaussians.ply"))[1:]
        call([*given, *words(quick), "--out", f"run{number}"])
    mesh = next(run for run in workplace.glob("run*") if (run / "meshes" / "mesh.ply").is_file())
    for command in (c for c in sorted(PAGE.commands) if " run " not in c):
        arguments = shlex.split(command.replace("RUN", mesh.name).replace("600", "12"))[1:]
        if "--reference" in arguments:  # official files, which cannot be shipped: they are asked for by name
            result = CliRunner().invoke(app, arguments)
            assert result.exit_code == 2, result.output
            assert Path(arguments[-1]).stem in result.output
        else:
            call(arguments)
