"""check: the picture, the sizes, the notes; the faults as JSON."""

import json

import pytest
import torch

from neuralfw.estimate import estimate
from neuralfw.reach import reaches
from neuralfw.scene import Scene
from neuralfw.session import check

PIPED = """
name = "piped"
data = { shapes = { type = "points", path = "x.ply" } }

[fields.codes]
type = "latents"
per = "shapes"
dim = 24

[fields.sdf]
type = "mlp_sdf"
width = 8
layers = 2

[[stages]]
name = "one"
steps = "3 epochs"
clip = 1.0
train = ["sdf", "codes"]
losses = [
  { type = "eikonal", on = "near", weight = { type = "linear", start = 0, end = 1 }, to = ["codes"] },
  { type = "sdf_zero", on = "third", name = "again" },
]
[stages.passes]
near = { data = "shapes", renderer = "pull", every = 3 }
third = { data = "near", detach = ["sdf"] }
"""


@pytest.fixture
def small(tmp_path, trained):
    """The recipe of the finished run, beside data that are absent."""
    text = (trained[0].parent / "ball.toml").read_text()
    file = tmp_path / "ball.toml"
    file.write_text("\n".join('path = "sphere.ply"' if line.startswith("path") else line for line in text.split("\n")))
    return file


def test_the_picture(cli, snapshot, small):
    result = cli("check", small)
    assert result.exit_code == 0
    snapshot("check", result.stdout.replace(str(small.parent), "FOLDER"))


def test_the_picture_of_passes_that_read_passes(cli, snapshot, tmp_path):
    file = tmp_path / "piped.toml"
    file.write_text(PIPED)
    result = cli("check", file)
    assert result.exit_code == 0
    snapshot("check_piped", result.stdout.replace(str(tmp_path), "FOLDER"))


@pytest.mark.parametrize(
    ("changes", "trained_by"),
    [
        ([], {"sdf": [], "codes": []}),
        (['stages.one.losses.eikonal.to=["sdf"]'], {"sdf": ["eikonal"], "codes": []}),
        (["stages.one.passes.third.detach=[]"], {"sdf": ["again"], "codes": []}),
        (["data.shapes.type=sdf_samples", "fields.sdf.latent=codes"], {"sdf": [], "codes": ["eikonal", "again"]}),
    ],
    ids=["as it is", "to", "detach", "a field made of a field"],
)
def test_who_is_trained_by_what(cli, tmp_path, changes, trained_by):
    file = tmp_path / "piped.toml"
    file.write_text(PIPED)
    assert reaches(check(file, changes))[0].trained_by() == trained_by
    text = cli("check", file, *(f"--set={change}" for change in changes)).stdout
    for entry, terms in trained_by.items():
        assert (f"stage one trains {entry}, but no loss reaches it" in text) == (not terms)


def test_absent_data_is_a_note_and_present_data_is_none(cli, small, trained):
    assert f"note: data.points.path: {small.parent}/sphere.ply does not exist yet" in cli("check", small).stdout
    assert "note:" not in cli("check", trained[0].parent / "ball.toml").stdout


def test_as_json(cli, small):
    facts = json.loads(cli("check", small, "--json").stdout)
    fit = facts["stages"]["fit"]
    assert facts["faults"] == [] and facts["name"] == "ball"
    assert fit["passes"]["surface"]["predicted"] == ["sdf", "sdf_gradient"]
    assert fit["losses"]["eikonal"] == {"type": "core/eikonal", "on": ["surface", "space"]}
    assert fit["trained_by"] == {"sdf": ["sdf_zero", "normal", "eikonal"]}
    assert facts["peak"] == facts["state"] + max(facts["step"].values())


def test_faults_as_json(cli, small):
    result = cli("check", small, "--json", "--set", "fields.sdf.widht=3", "--set", "fields.sdf.layers=0")
    faults = json.loads(result.stdout)["faults"]
    assert result.exit_code == 2
    assert ["width"] in [fault["closest"] for fault in faults] and len(faults) == 2
    small.write_text(small.read_text().replace("layers", "layer"))
    (fault,) = json.loads(cli("check", small, "--json").stdout)["faults"]
    assert (fault["file"], small.read_text().split("\n")[fault["line"] - 1][:5]) == (str(small), "layer")


@pytest.mark.parametrize(
    "change",
    [
        "seed=1",
        "fields.sdf.skip=[1]",
        "fields.sdf.encoder=frequency",
        "fields.sdf.weight_norm=true",
        "fields.sdf.features=3",
    ],
)
def test_parameters_are_those_of_the_built_scene(trained, change):
    checked = check(trained[0].parent / "ball.toml", [change])
    scene = Scene(checked.recipe, checked.registry, torch.device("cpu")).build()
    built = sum(p.numel() for p in scene.fields["sdf"].parameters())
    assert estimate(checked).parameters == {"fields.sdf": built}


def test_a_network_that_cannot_be_built_is_refused(cli, small):
    result = cli("check", small, "--set", "fields.sdf.skip=[7]")
    assert result.exit_code == 2 and "skip" in result.stderr


def test_components_of_an_excluded_plugin_are_not_there(cli, small):
    result = cli("check", small, "--no-plugin", "core")
    assert result.exit_code == 2 and 'there is no field "mlp_sdf"' in result.stderr
    result = cli("check", "deepsdf_paper", "--no-plugin", "deepsdf")
    assert "it comes with neuralfw-deepsdf, which is installed but cannot be used: left out by" in result.stderr
