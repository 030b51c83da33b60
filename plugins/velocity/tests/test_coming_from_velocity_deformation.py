"""Every row of docs/coming_from/velocity_deformation.md does what it says, and every flag and key there has one."""

from __future__ import annotations

import shlex
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from known_pairs import ball, turned

from neuralfw.geometry import write_mesh
from neuralfw.recipe.model import dump
from neuralfw.session import check
from neuralfw.testing.pages import ComingFrom, call, value_at

PAGE = Path(__file__).resolve().parents[3] / "docs" / "coming_from" / "velocity_deformation.md"
ALL, COMMANDS = ComingFrom(PAGE), ComingFrom(PAGE, "Commands").here
SETTINGS = ComingFrom(PAGE, "Keys of faust.conf and smal.conf").settings
OTHERS = {"`fine_tune = 0`", "`reinitial = 0`, the plain level-set equation", "a checkpoint every"}
FLAGS = [
    "--data_root", "--corr_root", "--save_dir", "--data_type", "--conf", "--savedir", "--expname", "--index",
    "--subindex", "--reset", "--modeldir", "--steps", "--mc_resolution", "--skip_recon",
    "--start_frame", "--length", "--external",
]  # fmt: skip
KEYS = [
    "batch", "T", "lr", "nepochs", "v_warm_up", "full", "fine_tune", "seed", "alpha", "reinitial", "laplacian",
    "divergence", "match", "eikonal", "level_set", "manifold", "onsurf", "normal", "nonmanifold", "surf_area",
]  # fmt: skip
QUICK = [
    "fields.sdf.width=8", "fields.sdf.layers=1", "fields.velocity.width=8", "fields.velocity.layers=1",
    "stages.velocity.steps=1", "stages.implicit.steps=1", "data.pair.samples=300", "log.tensorboard=false",
    "log.report=false",
    "export.mesher.resolution=8",
]  # fmt: skip


def test_every_flag_and_key_stands_on_the_page() -> None:
    assert [flag for flag in FLAGS if not any(flag in there for there in COMMANDS)] == []
    assert [key for key in KEYS if f"`{key}" not in ALL.text] == []


@pytest.mark.parametrize("there", SETTINGS)
def test_a_setting_is_taken_and_is_that_of_the_recipe(there: str) -> None:
    (override,) = shlex.split(SETTINGS[there])[1:]
    path, _, text = override.partition("=")
    as_it_is, changed = (value_at(dump(check("velocity_release", given).recipe), path) for given in ((), [override]))
    name = str(changed).rpartition("/")[2]
    assert name == text or float(text) == changed
    assert as_it_is == changed or there in OTHERS


def test_the_commands_do_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("neuralfw.run.save_picture", lambda *_: None)
    monkeypatch.setattr("neuralfw_velocity.deform.save_picture", lambda *_: None)
    vertices, faces = ball()
    for folder in ("DIR", "SMAL"):
        for name, x in (("a", vertices), ("b", turned(vertices)), ("c", vertices))[: 3 if folder == "SMAL" else 2]:
            (tmp_path / folder / "off").mkdir(parents=True, exist_ok=True)
            write_mesh(tmp_path / folder / "off" / f"{name}.ply", x, faces)
    np.save(tmp_path / "DIR" / "a-b_p2p.npy", np.arange(len(vertices))[None] + 1)
    quick = [f"--set={setting}" for setting in QUICK]
    for here in ALL.commands:
        words = shlex.split(here)[1:]
        if words[:2] == ["run", "OUT/a-b.toml"]:
            call([*words, *quick, "--out", "RUN"])
        elif words[0] == "run":
            check(words[1], [given for flag, given in pairwise(words) if flag == "--set"])
        elif words[0] in ("export", "deform", "data"):
            call([*words, *(["--resolution", "8"] if words[0] == "export" and "--resolution" not in words else [])])
    assert (tmp_path / "OUT/pairs.txt").read_text() == "0 1 a-b.toml\n"
    assert len((tmp_path / "TEMPLATE/pairs.txt").read_text().splitlines()) == 6
    assert len([*(tmp_path / "RUN/deformed").glob("source_t*.ply")]) == 9
