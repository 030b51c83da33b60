"""Running the command line, in this process and in one of its own; text held against snapshots."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from neuralfw.cli import app

SNAPSHOTS = Path(__file__).parent / "snapshots"
RUN = """
import sys
from neuralfw.cli import main
status = 0
try:
    main()
except SystemExit as end:
    status = end.code
"""


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "110")


@pytest.fixture
def cli():
    """Return a function that runs the command line in this process."""
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def process():
    """Return a function that runs the command line in a process of its own; `after` is Python run when it is done."""

    def run(*arguments, after="", path=None):
        environment = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
        command = [sys.executable, "-c", f"{RUN}{after}\nsys.exit(status)\n", *(str(a) for a in arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)

    return run


@pytest.fixture
def snapshot():
    """Return a function that compares text with a file; with NEURALFW_UPDATE_SNAPSHOTS set it writes the file."""

    def compare(name, text):
        file = SNAPSHOTS / f"{name}.txt"
        if os.environ.get("NEURALFW_UPDATE_SNAPSHOTS"):
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        assert text == file.read_text()

    return compare


@pytest.fixture(scope="session")
def trained(tmp_path_factory, sphere_cloud):
    """A finished run of a tiny recipe, made by the command line."""
    folder = tmp_path_factory.mktemp("trained")
    recipe = folder / "ball.toml"
    recipe.write_text(BALL.format(cloud=sphere_cloud))
    result = CliRunner().invoke(app, ["run", str(recipe), "--out", str(folder / "run")])
    assert result.exit_code == 0, result.output
    return folder / "run", result


BALL = """
name = "ball"

[data.points]
type = "points"
path = "{cloud}"

[data.around]
type  = "uniform"
batch = 64

[fields.sdf]
type   = "mlp_sdf"
width  = 16
layers = 2

[[stages]]
name   = "fit"
steps  = 6
train  = {{ sdf = {{ lr = {{ type = "cosine", start = 1e-3 }} }} }}
passes = {{ surface = {{ data = "points", batch = 100 }}, space = {{ data = "around" }} }}
losses = [
  {{ type = "sdf_zero", on = "surface" }},
  {{ type = "normal", on = "surface" }},
  {{ type = "eikonal", on = ["surface", "space"], weight = {{ type = "linear", start = 0.0, end = 0.1 }} }},
]

[export.mesher]
type       = "marching_cubes"
resolution = 16

[log]
tensorboard = false
report = false
"""
