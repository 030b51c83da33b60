"""The figures of shapes on their way: closed forms, and the same by scipy and trimesh."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from neuralfw.errors import UserError
from neuralfw.geometry import Mesh, read_mesh, write_mesh
from neuralfw.metrics import deformation
from neuralfw.metrics.deformation import evaluate_deformation

BALL = trimesh.creation.icosphere(4)
FACES = np.asarray(BALL.faces, np.int64)


@pytest.fixture(autouse=True)
def fewer_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deformation, "SAMPLES", 20_000)


def ball(radius: float, shift: float = 0.0) -> Mesh:
    return Mesh(radius * np.asarray(BALL.vertices) + [shift, 0.0, 0.0], FACES)


def frames(folder: Path, meshes: Sequence[Mesh]) -> list[Path]:
    paths = [folder / f"frame_{k}.ply" for k in range(len(meshes))]
    for path, mesh in zip(paths, meshes, strict=True):
        write_mesh(path, mesh.vertices, mesh.faces)
    return paths


def values(result: dict) -> dict[str, float]:
    json.dumps(result)
    return {name: metric["value"] for name, metric in result["metrics"].items()}


def test_balls_that_grow_too_slowly(tmp_path: Path) -> None:
    """The true ball grows from 2 to 3; the one on its way is smaller by 0.2 at each of the three times between."""
    true = [2.0, 2.25, 2.5, 2.75, 3.0]
    asked: list[float] = []

    def meshes_at(first: Mesh, times: Sequence[float]) -> list[Mesh]:
        assert np.abs(np.linalg.norm(first.vertices, axis=1) - 2.0).max() < 1e-6
        asked.extend(times)
        return [ball(2.0 + t - 0.2) for t in times]

    found = evaluate_deformation(meshes_at, frames(tmp_path, [ball(r) for r in true]))
    assert asked == [0.25, 0.5, 0.75] and [frame["time"] for frame in found["frames"]] == asked
    area = BALL.area
    unit = 1.0 / (2.0 * np.sqrt(area))
    figures = values(found)
    assert figures["vertices_rmse"] == pytest.approx(0.2 * unit, rel=1e-6)
    assert figures["chamfer"] == pytest.approx(0.2 * unit, rel=0.02)
    assert figures["hausdorff"] == pytest.approx(0.2 * unit, rel=0.2)
    assert figures["area_deviation"] == pytest.approx(np.std(np.array([2.05, 2.3, 2.55]) ** 2) / 4.0, rel=1e-6)


def test_a_constant_area_on_the_wrong_way_shows_in_the_distances_alone(tmp_path: Path) -> None:
    truth = frames(tmp_path, [ball(1.0), ball(1.0, 0.5), ball(1.0, 1.0)])
    figures = values(evaluate_deformation(lambda first, times: [first for _ in times], truth))
    assert figures["area_deviation"] == 0.0
    assert figures["vertices_rmse"] == pytest.approx(0.5 / np.sqrt(BALL.area), rel=1e-6)
    assert figures["chamfer"] > 0.02


def test_the_same_by_scipy_and_trimesh(tmp_path: Path) -> None:
    """Of an ellipsoid between two balls, with samples of another program and distances of another tree."""
    wrong = Mesh(np.asarray(BALL.vertices) * [1.3, 1.0, 0.8], FACES)
    truth = frames(tmp_path, [ball(1.0), ball(1.1), ball(1.2)])
    figures = values(evaluate_deformation(lambda first, times: [wrong], truth))
    rng = np.random.RandomState(7)
    sides = [
        trimesh.sample.sample_surface(trimesh.Trimesh(m.vertices, m.faces, process=False), 20_000, seed=rng)[0]
        for m in (wrong, read_mesh(truth[1]))
    ]
    forth, back = cKDTree(sides[1]).query(sides[0])[0], cKDTree(sides[0]).query(sides[1])[0]
    unit = BALL.area**-0.5
    assert figures["chamfer"] == pytest.approx(unit * (forth.mean() + back.mean()) / 2, rel=0.03)
    assert figures["hausdorff"] == pytest.approx(unit * max(forth.max(), back.max()), rel=0.05)


def test_other_vertices_have_no_partners_and_two_ends_alone_say_nothing(tmp_path: Path) -> None:
    truth = frames(tmp_path, [ball(1.0), ball(1.1), ball(1.2)])
    coarse = trimesh.creation.icosphere(3, radius=1.1)
    other = Mesh(np.asarray(coarse.vertices), np.asarray(coarse.faces, np.int64))
    found = evaluate_deformation(lambda first, times: [other], truth)
    assert "vertices_rmse" in found["omitted"] and values(found)["chamfer"] < 0.01
    with pytest.raises(UserError, match="three meshes at least, not 2"):
        evaluate_deformation(lambda first, times: [], truth[:2])
