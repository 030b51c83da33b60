"""Small clouds with known surfaces, and recipes small enough to train in seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Float64

from neuralfw.recipe.model import Recipe
from neuralfw.run import Run
from neuralfw.scene import Scene
from neuralfw.session import check, find_recipe, train

Build = Callable[..., Scene]
Train = Callable[..., Run]

RADIUS, TUBE = 0.7, 0.25


def sphere_points(count: int, seed: int = 0) -> Float64[np.ndarray, "n 6"]:
    """Points and normals of the unit sphere."""
    directions = np.random.default_rng(seed).normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return np.hstack([directions, directions])


def torus_points(count: int, seed: int = 0) -> Float64[np.ndarray, "n 6"]:
    """Points and normals of a torus about z."""
    around, along = np.random.default_rng(seed).uniform(0.0, 2.0 * np.pi, (2, count))
    ring = np.stack([np.cos(along), np.sin(along), np.zeros(count)], axis=1)
    normals = ring * np.cos(around)[:, None] + np.array([0.0, 0.0, 1.0]) * np.sin(around)[:, None]
    return np.hstack([RADIUS * ring + TUBE * normals, normals])


def torus_distance(x: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n"]:
    """The signed distance to that torus."""
    return np.hypot(np.hypot(x[:, 0], x[:, 1]) - RADIUS, x[:, 2]) - TUBE


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
        quick = ["log.tensorboard=false", "export.mesher.resolution=24"]
        return Run(train(recipe, [*quick, *overrides], out=tmp_path / out, start_from=start_from))

    return run


def shipped(name: str) -> Recipe:
    """Return a shipped recipe, resolved."""
    file = find_recipe(name)
    assert file is not None
    return check(file).recipe
