"""The examples of plugins, as a stranger would have them: out of the tree, installed, tested, used by one line."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from neuralfw.scaffold import kinds, write_package

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
Python = Callable[..., str]


def installed(package: Path) -> Python:
    """Install a package beside itself; return a function that runs python in its folder, where it is found."""
    site = package.parent / "site"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}

    def run(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, env=environment, cwd=package, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    options = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    run("-m", "pip", "install", *options, "--target", str(site), ".")
    return run


def copied(example: str, folder: Path) -> Python:
    """Install a copy of an example, outside the tree; return a function that runs python there."""
    copy = folder / example
    shutil.copytree(EXAMPLES / example, copy, ignore=shutil.ignore_patterns("__pycache__", ".*", "build", "dist"))
    return installed(copy)


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Python:
    """Return a function that runs python where a copy of the encoder is installed."""
    return copied("gaussian_fourier", tmp_path_factory.mktemp("elsewhere"))


def test_it_is_listed_with_its_plugin(python):
    listed = json.loads(python("-m", "neuralfw", "list", "encoder", "--json"))["installed"]
    mine = [entry for entry in listed if entry["name"] == "gaussian_fourier/gaussian_fourier"]
    assert [entry["plugin"] for entry in mine] == ["nfw-gaussian-fourier"]


def test_its_own_tests_pass(python):
    assert " passed" in python("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")


def test_its_manifest_says_what_its_code_says(python):
    assert "nfw-gaussian-fourier" in python("-m", "neuralfw", "plugin", "manifest", "--check")


def test_one_line_swaps_it_into_a_recipe(python, tiny_recipe, tmp_path):
    run, line = tmp_path / "run", "fields.sdf.encoder=gaussian_fourier"
    python("-m", "neuralfw", "run", str(tiny_recipe()), "--set", line, "--out", str(run))
    assert (run / "meshes/mesh.ply").is_file()
    assert 'type = "gaussian_fourier/gaussian_fourier"' in (run / "recipe.toml").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("example", ["toon", "depth_fusion"])
def test_a_renderer_and_a_method_pass_their_tests_and_run_their_recipe(example, tmp_path):
    run = copied(example, tmp_path / "elsewhere")
    assert " passed" in run("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert ", 0 failed" in run("-m", "neuralfw", "plugin", "check", f"nfw-{example.replace('_', '-')}")
    short = ["--set", "stages.fit.steps=2", "--set", "export.mesher.resolution=24"]
    run("-m", "neuralfw", "run", "recipe.toml", *short, "--out", str(tmp_path / "run"))
    assert (tmp_path / "run/meshes/mesh.ply").is_file()
    if example == "toon":
        options = ["--by", "renderer", "--frames", "1", "--size", "16", "-o", str(tmp_path / "seen.png")]
        run("-m", "neuralfw", "render", str(tmp_path / "run"), *options)
        assert [*tmp_path.glob("seen*.png")]


def test_a_method_with_its_own_data_takes_less_than_150_lines():
    written = [*(EXAMPLES / "depth_fusion/src").rglob("*.py")]
    assert written
    assert sum(1 for file in written for line in file.read_text().splitlines() if line.strip()) < 150


OTHERS = [pytest.param(kind, marks=pytest.mark.slow) for kind in kinds() if kind != "encoder"]


@pytest.mark.parametrize("kind", ["encoder", *OTHERS])
def test_a_package_of_plugin_new_is_installed_tested_and_run_untouched(kind, tmp_path):
    name, package = f"fresh_{kind}", tmp_path / f"nfw-fresh-{kind}"
    write_package(name, kind, package)
    run = installed(package)
    assert " passed" in run("-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert ", 0 failed" in run("-m", "neuralfw", "plugin", "check", package.name)
    assert [facts["kind"] for facts in json.loads(run("-m", "neuralfw", "describe", name, "--json"))] == [kind]
    stage, out = ("velocity" if kind == "integrator" else "fit"), tmp_path / "run"
    short = ["--set", f"stages.{stage}.steps=2", "--set", "export.mesher.resolution=16"]
    short += ["--set", "stages.implicit.steps=2"] if kind == "integrator" else []
    run("-m", "neuralfw", "run", "recipe.toml", *short, "--out", str(out))
    assert [*out.glob("meshes/*.ply")]
