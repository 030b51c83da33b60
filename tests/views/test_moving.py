"""A scene that moves against the true meshes, on a ball that grows from nothing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh
from typer.testing import CliRunner

import neuralfw
from neuralfw.cli import app
from neuralfw.errors import UserError
from neuralfw.geometry import Mesh, write_mesh
from neuralfw.metrics.sequence import evaluate_sequence
from neuralfw.run import Run

from .conftest import CENTER, RADIUS

SAMPLES = "neuralfw.metrics.sequence.SAMPLES"


def ball(radius: float, center: np.ndarray = CENTER) -> Mesh:
    made = trimesh.creation.icosphere(4, radius)
    return Mesh(np.asarray(made.vertices, np.float64) + center, np.asarray(made.faces, np.int64))


def pair(radius: float) -> Mesh:
    one, other = ball(radius), ball(radius, CENTER + np.array([10.0, 0.0, 0.0]))
    return Mesh(np.concatenate([one.vertices, other.vertices]), np.concatenate([one.faces, other.faces + 2562]))


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """At times 0, 1/2 and 1, of which the run has nothing at 0."""
    for number, mesh in enumerate([ball(0.1), ball(0.5 * RADIUS), ball(RADIUS)]):
        write_mesh(tmp_path / "truth" / f"{number}.ply", mesh.vertices, mesh.faces)
    return tmp_path / "truth"


@pytest.fixture
def run(recipe: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(SAMPLES, 20_000)
    path = recipe()
    text = path.read_text().replace('type   = "ball"', 'type   = "growing_ball"')
    path.write_text(text.replace("export = {", "evaluate = { views = false }\n#"))
    return neuralfw.train(path, ["export.mesher.type=marching_cubes", "export.mesher.resolution=48",
                                 "export.mesher.method=dense"], out=tmp_path / "run", device="cpu")  # fmt: skip


def files(folder: Path, *meshes: Mesh) -> list[Path]:
    paths = [folder / f"{number}.ply" for number in range(len(meshes))]
    for path, mesh in zip(paths, meshes, strict=True):
        write_mesh(path, mesh.vertices, mesh.faces)
    return paths


def test_figures_of_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SAMPLES, 20_000)
    found = {0.0: ball(1.0), 0.5: ball(0.9), 1.0: ball(1.0, CENTER + np.array([0.2, 0.0, 0.0]))}
    paths = files(tmp_path, ball(1.0), ball(1.0), pair(1.0))
    result = evaluate_sequence(found.__getitem__, paths, {0.0, 1.0})
    same, smaller, other = result["frames"]
    assert [frame["learnt"] for frame in result["frames"]] == [True, False, True]
    assert same["chamfer_percent"] < 0.4 and same["volume_ratio"] == pytest.approx(1.0)
    assert same["centroid_offset_percent"] == pytest.approx(0.0, abs=1e-9)
    assert smaller["volume_ratio"] == pytest.approx(0.9**3)
    assert smaller["chamfer_percent"] == pytest.approx(100 * 0.1 / (2 * 3**0.5), rel=0.05)
    assert (other["components"], other["true_components"], other["components_right"]) == (1, 2, False)
    diagonal = np.linalg.norm([12.0, 2.0, 2.0])
    assert other["centroid_offset_percent"] == pytest.approx(100 * 4.8 / diagonal, rel=1e-3)
    metrics = {name: metric["value"] for name, metric in result["metrics"].items()}
    assert metrics["components_right"] == pytest.approx(2 / 3) and metrics["genus_right"] == 1.0
    assert metrics["chamfer_percent_worst_unseen"] == smaller["chamfer_percent"]
    assert metrics["chamfer_percent_worst"] == other["chamfer_percent"]
    assert metrics["volume_error_percent_worst"] == pytest.approx(50.0)


def test_a_run_is_judged_at_all_times(run: Run, truth: Path) -> None:
    assert run.surface_protocol(truth) == "sequence"
    result = run.eval("sequence", reference=truth)
    start, half, end = result["frames"]
    assert start["components"] == 0 and "note" in start and "chamfer_percent" not in start
    for frame in (half, end):
        assert frame["chamfer_percent"] < 0.7 and (frame["components"], frame["genus"]) == (1, 0)
        assert frame["volume_ratio"] == pytest.approx(1.0, abs=0.05)
    assert "there is no surface at time 0" in result["omitted"]["chamfer_percent"]
    assert result["metrics"]["components_right"]["value"] == pytest.approx(2 / 3)
    shown = CliRunner().invoke(app, ["eval", str(run.folder.root), "--reference", str(truth)])
    assert shown.exit_code == 0, shown.output
    assert "0.500" in shown.output and "Chamfer %" in shown.output


def test_meshes_are_written_at_the_times_asked_for(run: Run) -> None:
    result = CliRunner().invoke(app, ["export", str(run.folder.root), "--times", "0.25,1"])
    assert result.exit_code == 0, result.output
    assert [Path(line).name for line in result.output.split()] == ["mesh_t0.250.ply", "mesh_t1.000.ply"]
    said: list[str] = []
    assert [path.name for path in run.export(times=(0.0, 0.5), say=said.append)] == ["mesh_t0.500.ply"]
    assert said[0].startswith("no mesh at time 0: There is no surface")


def test_what_cannot_be_compared_is_told(run: Run, truth: Path) -> None:
    with pytest.raises(UserError, match="protocol neuralfw is of one mesh, but this scene moves"):
        run.eval("neuralfw", reference=truth / "0.ply")
    with pytest.raises(UserError, match="needs two"):
        run.eval("sequence", reference=truth / "0.ply")
    with pytest.raises(UserError, match="nothing to compare with"):
        run.eval("sequence")
