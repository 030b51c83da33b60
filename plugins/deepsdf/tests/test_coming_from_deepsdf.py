"""Every row of docs/coming_from/deepsdf_seed.md does here what it says, and every flag of the seed has one."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from known_shapes import sphere_points

from neuralfw.recipe.model import dump
from neuralfw.session import check
from neuralfw.testing.pages import ComingFrom, call, value_at

PAGE = ComingFrom(Path(__file__).resolve().parents[3] / "docs" / "coming_from" / "deepsdf_seed.md")
FLAGS = [
    "--evaluate", "--input_pts", "--checkpoint_folder", "--resume_file", "--weight_decay", "--lr", "--schedule",
    "--gamma", "--start_epoch", "--epochs", "--train_batch", "--train_split_ratio", "--N_samples", "--sample_std",
    "--clamping_distance", "--test_batch", "--grid_N", "--max_xyz",
]  # fmt: skip


@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_has_a_row(flag: str) -> None:
    assert any(flag in there for there in PAGE.here)


@pytest.mark.parametrize("there", PAGE.settings)
def test_a_setting_is_taken_and_is_that_of_the_release(there: str) -> None:
    (override,) = shlex.split(PAGE.settings[there])[1:]
    path, _, text = override.partition("=")
    changed = value_at(dump(check("deepsdf_release", [override]).recipe), path)
    shown = str(changed).replace("'", '"')
    assert text.strip('"') in (shown, shown.lower(), shown.rpartition("/")[2]) or float(text) == changed
    if path not in ("data.points.path", "checkpoint.every", "export.mesher.chunk"):
        assert value_at(dump(check("deepsdf_release").recipe), path) == changed


def test_every_setting_is_taken_by_the_papers_recipe_too() -> None:
    overrides = [shlex.split(here)[1] for here in PAGE.settings.values() if ".lr." not in here]
    (schedule,) = re.findall(r"--set '(stages.fit.train.sdf.lr=[^']*)'", PAGE.text)
    recipe = check("deepsdf_paper", [*overrides, schedule]).recipe
    assert dump(recipe.stages) == dump(check("deepsdf_release").recipe.stages)


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seed")
    (folder / "data").mkdir()
    for name in ("sphere.pts", "bunny-1000.pts"):
        np.savetxt(folder / "data" / name, sphere_points(60))
    return folder


QUICK = [
    "stages.fit.steps=2", "fields.sdf.width=16", "fields.sdf.layers=2", "fields.sdf.skip=[]", "data.samples.batch=32",
    "export.mesher.resolution=8", "log.tensorboard=false", "log.report=false", "fields.sdf.dropout=0",
]  # fmt: skip


def test_the_commands_work(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_run)
    quick = [word for override in QUICK for word in ("--set", override)]
    for number, command in enumerate(c for c in sorted(PAGE.commands) if " run " in c):
        words = shlex.split(command)[1:]
        call([*words, *quick, "--out", f"run{number}"])
        assert (tiny_run / f"run{number}" / "meshes" / "mesh.ply").is_file()
    for command in (c for c in sorted(PAGE.commands) if " run " not in c):
        words = shlex.split(command.replace("RUN", "run0").replace("MESH", "run1/meshes/mesh.ply"))[1:]
        words = ["8" if w == "128" else w for w in words]
        call(words)
