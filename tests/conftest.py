"""Fixtures that several topics share: real data, small clouds with known answers, a small recipe."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # test processes run side by side


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real scans, meshes, images and sequences; tests that need it skip where it is absent."""
    root = os.environ.get("NEURALFW_SHARED_DATA") or Path(__file__).resolve().parents[1] / "../shared/data"
    folder = Path(root).resolve()
    if not folder.is_dir():
        pytest.skip(f"real data are not at {folder}; set NEURALFW_SHARED_DATA")
    return folder


@pytest.fixture(scope="session")
def sphere_cloud(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cloud of 400 points with normals on the sphere of radius 2 about (10, -20, 30)."""
    from neuralfw.geometry import write_points

    normals = np.random.default_rng(0).normal(size=(400, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    path = tmp_path_factory.mktemp("clouds") / "sphere.ply"
    write_points(path, np.array([10.0, -20.0, 30.0]) + 2.0 * normals, normals=normals)
    return path


TINY = """
name = "tiny"

[data.points]
type = "points"
path = "{cloud}"

[data.space]
type  = "uniform"
batch = 32

[fields.sdf]
type   = "mlp_sdf"
width  = 16
layers = 2

[export]
mesher = {{ type = "marching_cubes", resolution = 16 }}

[log]
every       = 1
tensorboard = false
report = false

[[stages]]
name   = "fit"
steps  = 4
train  = ["sdf"]
passes = {{ surface = {{ data = "points", batch = 64 }}, volume = {{ data = "space" }} }}
losses = [{{ type = "sdf_zero", on = "surface" }}, {{ type = "eikonal", on = ["surface", "volume"] }}]
"""


@pytest.fixture(scope="session")
def tiny_run(sphere_cloud: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the tiny recipe, with its page; what changes it works on a copy."""
    import neuralfw

    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.toml").write_text(TINY.format(cloud=sphere_cloud), encoding="utf-8")
    return neuralfw.train(folder / "tiny.toml", ["log.report=true"], out=folder / "run", device="cpu").folder.root


@pytest.fixture
def tiny_recipe(tmp_path: Path, sphere_cloud: Path) -> Callable[..., Path]:
    """Write a recipe that fits a 2x16 network to the sphere in four steps; `more` is TOML put after it."""

    def write(more: str = "", *, name: str = "tiny", folder: Path | None = None) -> Path:
        path = (folder or tmp_path) / f"{name}.toml"
        path.write_text(TINY.format(cloud=sphere_cloud) + more, encoding="utf-8")
        return path

    return write
