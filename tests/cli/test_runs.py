"""run, resume, eval, export and plugins' verbs, as a user types them; the same from Python."""

import json
import subprocess
import sys

import numpy as np
import pytest
import trimesh

import neuralfw
from neuralfw.api import open as open_run
from neuralfw.api import resume, train
from neuralfw.errors import UserError


def test_the_last_line_is_the_run_directory_and_notes_go_to_stderr(trained):
    run, result = trained
    assert result.stdout.splitlines() == [str(run)]
    assert "points: 400 points from" in result.stderr and f"mesh: {run}/meshes/mesh.ply" in result.stderr
    assert "fit 6/6" in result.stderr and "eikonal" in result.stderr


def test_overrides_stand_anywhere(cli, trained, tmp_path):
    recipe = trained[0].parent / "ball.toml"
    before, after = "stages.fit.steps=2", "fields.sdf.width=8"
    result = cli("--set", before, "run", "--out", tmp_path / "a", "--set", after, recipe, "--set=seed=5")
    assert result.exit_code == 0, result.output
    run = neuralfw.open(tmp_path / "a")
    assert (run.recipe.stages[0].steps, run.recipe.fields["sdf"].config.width, run.recipe.seed) == (2, 8, 5)


def test_a_finished_run_has_nothing_to_resume(cli, trained):
    result = cli("resume", trained[0])
    assert result.exit_code == 0 and "nothing is left to train" in result.stderr
    assert result.stdout.splitlines()[-1] == str(trained[0])


def test_an_evaluated_run_ends_with_its_figures(cli, trained, tmp_path, sphere_mesh):
    recipe = trained[0].parent / "ball.toml"
    changes = [f"--set=evaluate.reference={sphere_mesh}", "--set=evaluate.protocol=pytorch3d"]
    lines = cli("run", recipe, "--out", tmp_path / "a", *changes).stdout.splitlines()
    assert any(line.startswith("chamfer_squared_sum ") for line in lines) and lines[-1] == str(tmp_path / "a")


@pytest.fixture(scope="session")
def sphere_mesh(tmp_path_factory):
    """The surface that the tiny recipe's cloud lies on."""
    ball = trimesh.creation.icosphere(subdivisions=3, radius=2.0)
    ball.apply_translation([10.0, -20.0, 30.0])
    file = tmp_path_factory.mktemp("truth") / "ball.ply"
    ball.export(file)
    return file


def test_eval_gives_figures_with_unit_and_definition(cli, trained, sphere_mesh):
    arguments = ["eval", trained[0], "--reference", sphere_mesh, "--protocol", "pytorch3d"]
    text = cli(*arguments).stdout
    assert "10,000 and 10,000 samples, seed 0" in text
    facts = json.loads(cli(*arguments, "--json").stdout)
    figure = facts["metrics"]["chamfer_squared_sum"]
    assert f"{figure['value']:.6g}" in text and figure["unit"] and figure["definition"]
    assert json.loads((trained[0] / "eval" / "pytorch3d.json").read_text()) == facts


def test_eval_refuses_an_unknown_protocol_and_a_missing_reference(cli, trained, sphere_mesh):
    for arguments, message in ((["--protocol", "dtu9", "--reference", sphere_mesh], "dtu9"), ([], "--reference FILE")):
        result = cli("eval", trained[0], *arguments)
        assert result.exit_code == 2 and message in result.stderr


def test_export_writes_the_mesh_where_it_is_told(cli, trained, tmp_path):
    result = cli("export", trained[0], "--resolution", 12, "-o", tmp_path / "ball.obj")
    assert result.stdout.splitlines() == [str(tmp_path / "ball.obj")]
    mesh = trimesh.load_mesh(tmp_path / "ball.obj")
    assert np.allclose(mesh.bounds.mean(axis=0), [10.0, -20.0, 30.0], atol=0.5)


@pytest.mark.parametrize("times", ["soon", "0,2", "0;1"])
def test_export_refuses_times_that_are_none(cli, trained, times):
    result = cli("export", trained[0], "--times", times)
    assert result.exit_code == 2 and f"--times {times}" in result.stderr


def test_a_run_starts_from_the_field_of_another(cli, trained, tmp_path):
    recipe = trained[0].parent / "ball.toml"
    result = cli("run", recipe, "--from", f"{trained[0]}:sdf", "--out", tmp_path / "b", "--set", "stages.fit.steps=1")
    assert result.exit_code == 0, result.output
    assert neuralfw.open(tmp_path / "b").frame.scale == neuralfw.open(trained[0]).frame.scale


# -- from Python -------------------------------------------------------------------------------------------------


def test_every_verb_is_one_call(trained, tmp_path, capsys):
    run = train(trained[0].parent / "ball.toml", ["stages.fit.steps=2"], out=tmp_path / "c", progress=True)
    assert "fit 2/2" in capsys.readouterr().err
    assert run.mesh(resolution=12).faces.shape[1] == 3
    assert resume(tmp_path / "c").folder.root == tmp_path / "c"
    assert capsys.readouterr() == ("", "")
    with pytest.raises(UserError, match="not a run directory"):
        open_run(tmp_path)


def test_an_opened_run_gives_the_mesh_that_was_exported(trained):
    exported = trimesh.load_mesh(trained[0] / "meshes" / "mesh.ply", process=False)
    mesh = neuralfw.open(trained[0]).mesh()
    assert np.allclose(mesh.vertices, exported.vertices, atol=1e-4) and (mesh.faces == exported.faces).all()


def test_the_module_has_what_it_promises_and_nothing_else():
    assert {*neuralfw.__all__} == {"__version__", "compare", "open", "resume", "train"}
    assert neuralfw.open is open_run and neuralfw.resume is resume
    with pytest.raises(AttributeError, match="opne"):
        _ = neuralfw.opne


def test_train_is_a_verb_whatever_was_imported_before():
    code = "import neuralfw.run, neuralfw; print(neuralfw.train.__doc__.split('.')[0])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("Train a recipe")


# -- verbs of plugins --------------------------------------------------------------------------------------------

VERBS = """
import typer
from neuralfw.hooks import hook

@hook
def neuralfw_commands(app: typer.Typer) -> None:
    @app.command()
    def greet(name: str = "you") -> None:
        "Say hello."
        typer.echo(f"hello {name}")
"""


@pytest.fixture
def plugin(tmp_path):
    """A folder with an installed plugin whose hooks are the given text."""
    from neuralfw.manifest import API

    def make(hooks):
        package, info = tmp_path / "toy", tmp_path / "neuralfw_toy-1.dist-info"
        package.mkdir()
        info.mkdir()
        (package / "__init__.py").write_text("")
        (package / "hooks.py").write_text(hooks)
        (package / "neuralfw.toml").write_text(f'api = {API}\nowner = "toy"\nhooks = "toy.hooks"\n')
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: neuralfw-toy\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[neuralfw]\ntoy = toy\n")
        return tmp_path

    return make


def test_a_plugin_adds_a_verb(process, plugin):
    path = plugin(VERBS)
    assert process("greet", "--name", "world", path=path).stdout == "hello world\n"
    text = process("--help", path=path).stdout
    assert "greet" in text and "Say hello." in text and text.index("doctor") < text.index("greet")


def test_a_verb_of_core_asks_no_plugin(process, plugin):
    path = plugin("raise RuntimeError('asked')")
    assert process("list", "mesher", path=path).stderr == ""


@pytest.mark.parametrize(
    "hooks",
    [
        "raise RuntimeError('asked')",
        VERBS.replace("    @app.command()", "    raise RuntimeError('asked')\n    @app.command()"),
    ],
    ids=["import", "hook"],
)
def test_a_plugin_whose_verbs_fail_is_named_and_left_out(process, plugin, hooks):
    result = process("--help", path=plugin(hooks))
    assert result.returncode == 0 and "resume" in result.stdout
    assert "neuralfw-toy is left out" in result.stderr and "RuntimeError: asked" in result.stderr
