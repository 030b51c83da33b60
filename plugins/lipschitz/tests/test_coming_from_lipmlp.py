"""Every row of docs/coming_from/lipmlp.md does here what it says, and every flag and key there has one."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from neuralfw.cli import app
from neuralfw.recipe.model import dump
from neuralfw.session import check
from neuralfw.testing.pages import ComingFrom, value_at

PAGE = Path(__file__).resolve().parents[3] / "docs" / "coming_from" / "lipmlp.md"
COMMANDS, RELEASE, DEMO = (
    ComingFrom(PAGE, heading).here
    for heading in ("Commands of the re-implementation", "Keys of faust_lip.conf", "Values of the demo")
)
FLAGS = [
    "--conf", "--savedir", "--expname", "--index", "--subindex", "--reset", "--modeldir", "--steps", "--mc_resolution",
]  # fmt: skip
KEYS = ["batch", "lr", "nepochs", "seed", "manifold", "normal", "eikonal", "nonmanifold", "lipschitz"]
QUICK = [
    "fields.sdf.width=16", "fields.sdf.layers=2", "stages.fit.steps=2", "data.source.samples=300",
    "data.target.samples=300", "export.mesher.resolution=8", "log.tensorboard=false", "fields.sdf.start=sphere",
    "log.report=false",
]  # fmt: skip


@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_has_a_row(flag: str) -> None:
    assert any(flag in there for there in COMMANDS)


@pytest.mark.parametrize("key", KEYS)
def test_every_key_has_a_row(key: str) -> None:
    assert f"`{key}`" in RELEASE


@pytest.mark.parametrize(
    ("recipe", "here"),
    [
        *(("lipmlp_release", here) for here in RELEASE.values()),
        *(("lipmlp_paper", here) for here in DEMO.values() if here.startswith("--set")),
    ],
)
def test_a_setting_is_taken_and_is_that_of_the_recipe(recipe: str, here: str) -> None:
    (override,) = shlex.split(here)[1:]
    path, _, text = override.partition("=")
    as_it_is, changed = (value_at(dump(check(recipe, given).recipe), path) for given in ((), [override]))
    assert str(changed) == text or float(text) == changed
    if path != "checkpoint.every":
        assert as_it_is == changed


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import trimesh

    folder = tmp_path_factory.mktemp("lipmlp")
    for name, radius in (("3", 0.4), ("5", 0.6)):
        trimesh.creation.icosphere(3, radius).export(folder / f"{name}.ply")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("neuralfw.run.save_picture", lambda *_: None)
        call([*shlex.split(COMMANDS["`train_lipmlp.py --index 3 --subindex 5`"])[1:], "--out", "RUN"])
    return folder / "RUN"


def call(arguments: list[str]) -> None:
    small = [f"--set={setting}" for setting in QUICK] if arguments[0] == "run" else []
    done = CliRunner().invoke(app, [*arguments, *small])
    assert done.exit_code == 0, f"{arguments}\n{done.output}\n{done.exception}"


def test_the_commands_of_evaluation_write_what_they_say(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_run.parent)
    monkeypatch.setattr("neuralfw.run.save_picture", lambda *_: None)
    for here in COMMANDS.values():
        if here.startswith("neuralfw export"):
            call(shlex.split(here)[1:] + ([] if "--resolution" in here else ["--resolution", "8"]))
    assert len(list((tiny_run / "meshes").glob("mesh_t*.ply"))) == 7  # the middle too, as every run's end writes it


def test_commands_of_training_name_recipes_and_options_that_exist() -> None:
    assert len(COMMANDS) == 7
    for here in COMMANDS.values():
        if here.startswith("neuralfw run"):
            words = shlex.split(here)[2:]
            check(words[0], [words[i + 1] for i, word in enumerate(words) if word == "--set"])
