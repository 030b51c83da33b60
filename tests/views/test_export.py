"""What [export] does to a mesh, and its colours, on the ball that toy components make."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import trimesh
from typer.testing import CliRunner

import neuralfw
from neuralfw.cli import app
from neuralfw.coloring import color_vertices
from neuralfw.geometry import Camera, Mesh, read_mesh
from neuralfw.metrics.culling import cull_by_masks
from neuralfw.photographed import photographed
from neuralfw.raster import rasterize
from neuralfw.recipe.faults import RecipeError

from .conftest import CENTER, RADIUS, camera

Write = Callable[..., Path]
MESHER = 'mesher = { type = "marching_cubes", resolution = 24, method = "dense" }'


@pytest.fixture
def exported(recipe: Write, tmp_path: Path) -> Callable[[str], Mesh]:
    """Train with an [export] table and read the mesh."""

    def run(table: str) -> Mesh:
        path = recipe()
        lines = [line for line in path.read_text().splitlines() if not line.startswith("export")]
        path.write_text("\n".join(lines) + f"\n[export]\n{MESHER}\n{table}\n[evaluate]\nviews = false\n")
        return read_mesh(neuralfw.train(path, out=tmp_path / "run", device="cpu").folder.meshes / "mesh.ply")

    return run


def test_the_mesh_has_the_colours_of_the_scene(exported: Callable[[str], Mesh]) -> None:
    mesh = exported("")
    assert mesh.is_closed
    np.testing.assert_allclose(mesh.colors, np.broadcast_to([0.5, 0.25, 0.75], mesh.colors.shape), atol=1 / 255)


def test_the_mesh_is_cropped_in_world_units(exported: Callable[[str], Mesh]) -> None:
    low, high = (CENTER - RADIUS - 1.0).tolist(), (CENTER + (RADIUS + 1.0) * np.array([1.0, 0.0, 1.0])).tolist()
    mesh = exported(f"crop = [{low}, {high}]\ncolors = false")
    assert mesh.colors is None
    assert CENTER[1] - 0.6 < mesh.vertices[:, 1].max() <= CENTER[1]
    assert mesh.vertices[:, 1].min() == pytest.approx(CENTER[1] - RADIUS, abs=0.02)


def test_faces_that_no_photograph_sees_are_dropped(exported: Callable[[str], Mesh]) -> None:
    """All cameras stand a little above the middle: the lowest part is seen by none."""
    mesh = exported("cull = true\nkeep = 'largest'")
    below = (mesh.vertices[:, 1] - CENTER[1]) / RADIUS
    assert -0.95 < below.min() < -0.4 and below.max() > 0.9


def test_protocols_ask_a_run_for_its_cameras_and_masks(recipe: Write, tmp_path: Path) -> None:
    run = neuralfw.train(recipe("\n[evaluate]\nviews = false\n"), out=tmp_path / "run", device="cpu")
    asked = photographed(run)
    assert asked is not None
    centers = asked.centers()
    assert len(centers) == 10  # those held out are part of the trajectory
    np.testing.assert_allclose(centers[sorted(centers)[0]], camera(6).center, atol=1e-9)  # test/r_6
    ball = run.mesh()
    higher = ball.vertices + np.array([0.0, 0.25, 0.0])
    faces = np.concatenate([ball.faces, ball.faces + len(ball.vertices)])
    culled = cull_by_masks(Mesh(np.concatenate([ball.vertices, higher]), faces), asked.masked(), dilation=1 / 40)
    assert len(ball.faces) < len(culled.faces) < len(faces)
    assert higher[:, 1].max() - CENTER[1] > 2.24
    assert (culled.vertices[:, 1] - CENTER[1]).max() < 2.15
    assert len(cull_by_masks(ball, asked.masked(), dilation=1 / 40).faces) == len(ball.faces)


def wall(half: float, depth: float) -> Mesh:
    side = np.linspace(-half, half, 9)
    corners = np.stack([*(axis.ravel() for axis in np.meshgrid(side, side)), np.full(81, depth)], axis=1)
    first = (9 * np.arange(8)[:, None] + np.arange(8)).ravel()
    return Mesh(corners, np.concatenate([first[:, None] + [0, 1, 10], first[:, None] + [0, 10, 9]]))


def test_colours_come_from_frontal_views_and_pass_through_nothing() -> None:
    """A wall with a smaller one behind it; red is what is seen from before, blue from behind, green from the edge."""
    front, back = wall(1.0, 0.0), wall(0.5, 1.0)
    both = Mesh(np.concatenate([front.vertices, back.vertices]), np.concatenate([front.faces, back.faces + 81]))

    def images() -> Iterator[tuple[Camera, np.ndarray, np.ndarray]]:
        eyes = [0.0, 0.01, -4.0], [0.0, 0.01, 5.0], [6.0, 0.0, -0.5]
        for eye, color in zip(eyes, ([1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]), strict=True):
            camera = Camera.look_at(eye, [0.0, 0.0, 0.5], [0.0, 1.0, 0.0], focal=100.0, width=96, height=96)
            alpha = 0.8 * rasterize(both.vertices, both.faces, camera).hit
            yield camera, alpha[..., None] * color, alpha

    colors = color_vertices(both, images())
    inner = np.abs(front.vertices[:, :2]).max(axis=1) < 0.55
    rim = np.isclose(np.abs(front.vertices[:, :2]).max(axis=1), 0.75)
    np.testing.assert_allclose(colors[:81][inner], [[1, 0, 0]] * inner.sum(), atol=0.02)
    np.testing.assert_allclose(colors[:81][rim], [[0.5, 0, 0.5]] * rim.sum(), atol=0.15)
    np.testing.assert_allclose(colors[81:], [[0, 0, 1]] * 81, atol=0.02)
    np.testing.assert_array_equal(color_vertices(both, []), np.full((162, 3), 0.5))


def test_without_its_photographs_a_run_exports_without_colours_and_says_so(
    recipe: Write, ball_folder: Path, tmp_path: Path
) -> None:
    run = neuralfw.train(recipe(), out=tmp_path / "run", device="cpu")
    ball_folder.rename(tmp_path / "gone")
    said: list[str] = []
    opened = neuralfw.open(run.folder.root)
    (path,) = opened.export(output=tmp_path / "mesh.ply", say=said.append)
    assert read_mesh(path).colors is None
    assert any("has no colours" in line for line in said)


def test_a_cleaned_glb_is_opened_by_trimesh_and_on_record(recipe: Write, tmp_path: Path) -> None:
    run = neuralfw.train(recipe("\n[evaluate]\nviews = false\n"), out=tmp_path / "run", device="cpu")
    glb = tmp_path / "ball.glb"
    done = CliRunner().invoke(app, ["export", str(run.folder.root), "--keep=1", "--fill=20", "-o", str(glb)])
    assert done.exit_code == 0, done.output
    read = trimesh.load(glb, process=False).to_geometry()
    np.testing.assert_allclose(np.linalg.norm(read.vertices - CENTER, axis=1), RADIUS, rtol=0.02)
    assert read.is_watertight and read.visual.vertex_colors[0, :3].tolist() == [128, 64, 191]
    steps = json.loads((tmp_path / "ball.glb.json").read_text())["steps"]
    assert [step["step"] for step in steps][1:] == ["the largest 1 connected parts", "holes of at most 20 edges closed"]
    assert steps[0]["faces"] == len(read.faces) and steps[-1]["holes"] == 0


def test_culling_without_photographs_is_refused_before_the_first_step(tiny_recipe: Write, tmp_path: Path) -> None:
    path = tiny_recipe()
    path.write_text(path.read_text().replace("[export]", "[export]\ncull = true"))
    with pytest.raises(RecipeError, match="no posed photographs"):
        neuralfw.train(path, out=tmp_path / "run")


@pytest.mark.parametrize("seen", [0.0, 0.5])
def test_tsdf_meshes_what_is_rendered(
    exported: Callable[[str], Mesh], monkeypatch: pytest.MonkeyPatch, seen: float
) -> None:
    monkeypatch.setattr(f"{__name__}.MESHER", f'mesher = {{ type = "tsdf", resolution = 32, seen = {seen} }}')
    mesh = exported("keep = 'largest'\ncolors = false")
    distance = np.linalg.norm(mesh.vertices - CENTER, axis=1)
    above = mesh.vertices[:, 1] > CENTER[1] - 0.5 * RADIUS  # the rest is seen by no camera
    assert np.median(np.abs(distance[above] - RADIUS)) < 0.08  # a fifth of a cell
    assert above.mean() > 0.6
