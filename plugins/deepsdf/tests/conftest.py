"""Files of small clouds, and recipes small enough to train in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from known_shapes import Build, Train, sphere_points, torus_points

from neuralfw.run import Run
from neuralfw.scene import Scene
from neuralfw.session import check, train


@pytest.fixture(scope="session", autouse=True)
def _no_pictures() -> Iterator[None]:
    """Drawing the meshes takes longer than these runs; it has tests of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neuralfw.run.save_picture", lambda *_: None)
        yield


@pytest.fixture
def sphere_file(tmp_path: Path) -> Path:
    np.savetxt(tmp_path / "sphere.pts", sphere_points(300))
    return tmp_path / "sphere.pts"


@pytest.fixture
def torus_file(tmp_path: Path) -> Path:
    np.savetxt(tmp_path / "torus.pts", torus_points(1500))
    return tmp_path / "torus.pts"


@pytest.fixture
def write_recipe(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        file = tmp_path / f"recipe_{len(list(tmp_path.glob('recipe_*')))}.toml"
        file.write_text(text, encoding="utf-8")
        return file

    return write


@pytest.fixture
def build() -> Build:
    """Build the scene of a recipe, without training it."""

    def build_scene(recipe: str | Path, *overrides: str) -> Scene:
        checked = check(recipe, overrides)
        return Scene(checked.recipe, checked.registry, torch.device("cpu")).build()

    return build_scene


@pytest.fixture
def trained(tmp_path: Path) -> Train:
    """Train a recipe and open its run."""

    def run(recipe: str | Path, *overrides: str, start_from: str | None = None, out: str = "run") -> Run:
        quick = ["log.tensorboard=false", "log.report=false", "export.mesher.resolution=24"]
        return Run(train(recipe, [*quick, *overrides], out=tmp_path / out, start_from=start_from))

    return run
