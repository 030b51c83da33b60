"""Wheels that work without the checkout, and what the main path must not import."""

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parents[1]
DISTRIBUTIONS = {"neuralfw": ROOT, "neuralfw_deepsdf": ROOT / "plugins/deepsdf"}
TINY = [
    *("stages.fit.steps=2", "fields.sdf.width=16", "fields.sdf.layers=1", "export.mesher.resolution=16"),
    "stages.fit.train.sdf.lr=1e-6",  # the sphere that it starts as stays one
]


def succeed(*command: str | Path, cwd: Path, **variables: str) -> str:
    """Run a command with no variable of ours that could lead it to the checkout; return what it printed."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COVERAGE"))} | variables
    done = subprocess.run([*map(str, command)], cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> dict[str, Path]:
    """The wheels of core and of each plugin, by distribution."""
    folder = tmp_path_factory.mktemp("dist")
    options = ["--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet", "--wheel-dir", folder]
    succeed(sys.executable, "-m", "pip", "wheel", *options, *DISTRIBUTIONS.values(), cwd=folder)
    return {name: next(folder.glob(f"{name}-*.whl")) for name in DISTRIBUTIONS}


@pytest.fixture(scope="module")
def installed(wheels, tmp_path_factory) -> Callable[..., str]:
    """Return a function that runs a command of a new environment that holds the wheels, from an empty folder.

    What neuralfw depends on is taken from this environment, whose own neuralfw stands behind the one of the wheel.
    """
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin/python"
    options = ["--python", python, "install", "--no-deps", "--no-index", "--disable-pip-version-check", "--quiet"]
    succeed(sys.executable, "-m", "pip", *options, *wheels.values(), cwd=home)
    site = Path(succeed(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home).strip())
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    empty = tmp_path_factory.mktemp("empty")

    def run(name: str, *arguments: str) -> str:
        return succeed(home / "bin" / name, *arguments, cwd=empty)

    where = Path(run("python", "-c", "import neuralfw; print(neuralfw.__file__)").strip())
    assert where.is_relative_to(home), f"not the wheel's: {where}"
    return run


@pytest.mark.slow
def test_wheels_hold_what_they_need_and_nothing_else(wheels):
    core = ZipFile(wheels["neuralfw"]).namelist()
    assert {"neuralfw/neuralfw.toml", "neuralfw/py.typed", "neuralfw/nn/kernels.cpp"} <= {*core}
    recipes = [p.relative_to(ROOT).as_posix() for p in (ROOT / "recipes").rglob("*") if p.is_file()]
    assert {f"neuralfw/{file}" for file in recipes} <= {*core}
    assert "neuralfw_deepsdf/neuralfw.toml" in ZipFile(wheels["neuralfw_deepsdf"]).namelist()
    for name, wheel in wheels.items():
        tops = {file.partition("/")[0] for file in ZipFile(wheel).namelist()}
        assert tops == {name, wheel.name.rpartition("-py3-")[0] + ".dist-info"}


@pytest.mark.slow
def test_the_extra_all_brings_the_plugins(wheels):
    archive = ZipFile(wheels["neuralfw"])
    metadata = Parser().parsestr(archive.read(next(f for f in archive.namelist() if f.endswith("/METADATA"))).decode())
    brought = {line.partition(";")[0].strip() for line in metadata.get_all("Requires-Dist") if "'all'" in line}
    assert brought == {name.replace("_", "-") for name in DISTRIBUTIONS} - {"neuralfw"}


@pytest.mark.slow
def test_installed_wheels_list_and_check_and_run_by_name(installed, tmp_path):
    assert "deepsdf_decoder" in installed("neuralfw", "list")
    assert "clamped_l1" in installed("neuralfw", "check", "deepsdf")
    settings = [f"--set={setting}" for setting in TINY]
    last = installed("neuralfw", "run", "igr", "--out", str(tmp_path / "run"), *settings).splitlines()[-1]
    assert last == str(tmp_path / "run")
    assert (tmp_path / "run/meshes/mesh.ply").is_file() and (tmp_path / "run/images/mesh.png").is_file()


def test_a_run_imports_no_open3d(tiny_recipe, tmp_path):
    decoy = tmp_path / "decoy"
    decoy.mkdir()
    (decoy / "open3d.py").write_text("raise SystemExit('open3d was imported')")
    recipe = str(tiny_recipe())
    code = f"import neuralfw, sys; neuralfw.train({recipe!r}, out='run'); assert 'open3d' not in sys.modules"
    succeed(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(decoy))
    assert (tmp_path / "run/meshes/mesh.ply").is_file()
