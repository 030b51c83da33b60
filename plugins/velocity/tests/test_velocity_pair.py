"""The pair of shapes as data: matches in every form of file, one frame, and one clear message for each wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from known_pairs import ball, turned, write_pair, write_recipe

from neuralfw.components import Draw
from neuralfw.errors import UserError
from neuralfw.geometry import write_mesh, write_points
from neuralfw.scene import Scene
from neuralfw.session import check
from neuralfw_velocity.config import ShapePairConfig
from neuralfw_velocity.shapes import ShapePairs


def open_pair(folder: Path, more: str = "", paths: tuple[Path, Path] | None = None) -> ShapePairs:
    recipe = write_recipe(folder, *(paths or write_pair(folder)), more=more)
    checked = check(recipe)
    return Scene(checked.recipe, checked.registry, torch.device("cpu")).open_data("pair")


def shuffled(folder: Path) -> np.ndarray:
    """Write b.ply anew with its vertices in another order; return for each vertex of a that of b."""
    vertices, faces = ball()
    order = np.random.default_rng(0).permutation(len(vertices))
    place = np.argsort(order)
    write_mesh(folder / "b.ply", turned(vertices)[order], place[faces])
    return place


def all_matches(pair: ShapePairs):
    return {q: v for q, v in pair.pairs[0].matches.items()}


def assert_true(pair: ShapePairs):
    """Every match is the true one, in the training space."""
    found = all_matches(pair)
    source, target = (pair.frame.to_world(found[q].double().numpy()) for q in ("points", "target"))
    assert len(source) and np.abs(turned(source) - target).max() < 1e-4


def test_a_template_in_one_frame_of_unit_area(tmp_path):
    pair = open_pair(tmp_path)
    assert_true(pair)
    assert pair.pairs[0].source.area * pair.frame.scale**2 == pytest.approx(1.0)
    assert "642 matches" in pair.notes[0]
    for q in ("normal", "velocity/target_normal"):
        torch.testing.assert_close(all_matches(pair)[q].norm(dim=1), torch.ones(642))


@pytest.mark.parametrize("base", [0, 1])
@pytest.mark.parametrize("ending", ["npy", "txt", "map"])
@pytest.mark.parametrize("direction", ["source_to_target", "target_to_source"])
def test_matches_of_files(tmp_path, direction, ending, base):
    write_pair(tmp_path)
    place = shuffled(tmp_path)
    rows = (place if direction == "source_to_target" else np.argsort(place)) + base
    file = tmp_path / f"c.{ending}"
    np.save(file, rows[None] if base else rows) if ending == "npy" else np.savetxt(file, rows, fmt="%d")
    more = f'matches = "file"\ncorrespondence = "{file}"\nbase = {base}\ndirection = "{direction}"'
    assert_true(open_pair(tmp_path, more, (tmp_path / "a.ply", tmp_path / "b.ply")))


def test_matches_of_both_directions_are_joined(tmp_path):
    write_pair(tmp_path)
    place = shuffled(tmp_path)
    np.savetxt(tmp_path / "there.txt", place, fmt="%d")
    np.savetxt(tmp_path / "back.txt", np.argsort(place), fmt="%d")
    more = f'matches = "file"\ncorrespondence = "{tmp_path}/there.txt"\nback = "{tmp_path}/back.txt"'
    pair = open_pair(tmp_path, more, (tmp_path / "a.ply", tmp_path / "b.ply"))
    assert_true(pair)
    assert len(all_matches(pair)["points"]) == 2 * 642


def test_a_vertex_that_very_many_rows_name_stands_for_no_match(tmp_path):
    rows = np.arange(642)
    rows[100:160] = 0
    pair = open_pair(tmp_path, write_rows(tmp_path, rows))
    assert_true(pair)
    assert len(all_matches(pair)["points"]) == 581
    assert any("c.txt: 61 rows name vertex 0: taken as without match" in note for note in pair.notes)


def test_a_share_of_the_matches(tmp_path):
    pair = open_pair(tmp_path, "share = 0.2")
    assert len(all_matches(pair)["points"]) == 128
    assert_true(pair)


def drawn(pair: ShapePairs, batch: int):
    options = ShapePairConfig.Draw(batch=batch)
    return pair.sample(Draw("neighbors", options, 0, lambda count: torch.Generator().manual_seed(count % 2**32), None))


def test_neighbours_are_matches_nearby_and_each_other_s(tmp_path):
    pair = open_pair(tmp_path, "neighbors = 6")
    found = drawn(pair, 200)
    partner = found["velocity/neighbor"]
    assert found["points"].shape == found["target"].shape == (200, 3)
    assert (partner[partner] == torch.arange(200)).all()
    apart = (found["points"] - found["points"][partner]).norm(dim=1)
    every = torch.cdist(all_matches(pair)["points"], all_matches(pair)["points"])
    assert (apart > 0).all() and (apart <= every.sort(dim=1).values[:, 6].max() + 1e-6).all()


def test_neighbours_of_matches_that_coincide_are_others(tmp_path):
    rows = np.repeat(np.arange(0, 642, 3), 3)  # three vertices of the target for one of the source
    more = write_rows(tmp_path, rows) + '\ndirection = "target_to_source"\nneighbors = 2'
    pair = open_pair(tmp_path, more, write_pair(tmp_path))
    own = torch.arange(len(pair.pairs[0].near))[:, None]
    assert pair.pairs[0].near.shape == (642, 2) and (pair.pairs[0].near != own).all()


@pytest.mark.parametrize(("align", "scale"), [("rigid", 1.0), ("similarity", 7.0)])
def test_the_target_is_laid_onto_the_source_without_reflection(tmp_path, align, scale):
    pair = open_pair(tmp_path, f'align = "{align}"', write_pair(tmp_path, lambda x: scale * turned(x)))
    assert np.abs(pair.pairs[0].target.vertices - pair.pairs[0].source.vertices).max() < 1e-4
    assert np.linalg.det(pair.pairs[0].alignment[:3, :3]) == pytest.approx(scale**-3, rel=1e-5)
    assert pair.pairs[0].target.volume > 0.0


def test_a_mirrored_target_is_not_mirrored_back(tmp_path):
    pair = open_pair(tmp_path, 'align = "rigid"', write_pair(tmp_path, lambda x: turned(x) * [-1.0, 1.0, 1.0]))
    assert np.linalg.det(pair.pairs[0].alignment[:3, :3]) == pytest.approx(1.0)


def test_clouds_without_matches(tmp_path):
    vertices, _ = ball()
    write_points(tmp_path / "a.ply", vertices)
    write_points(tmp_path / "b.ply", turned(vertices))
    recipe = write_recipe(tmp_path, tmp_path / "a.ply", tmp_path / "b.ply", more='matches = "none"')
    text = recipe.read_text().replace('fit = "area"', 'fit = "sphere"').replace("pair.matches", "pair.surfaces")
    text = text[: text.index("losses")] + 'losses = [{ type = "divergence", on = "paths" }]\n'
    recipe.write_text(text)
    checked = check(recipe)
    pair = Scene(checked.recipe, checked.registry, torch.device("cpu")).open_data("pair")
    assert pair.holds("surfaces") and not pair.holds("matches")
    assert pair.pairs[0]._normals[0].shape == (642, 3)


def refused(folder: Path, more: str, paths: tuple[Path, Path] | None = None) -> str:
    with pytest.raises(UserError) as error:
        open_pair(folder, more, paths)
    return str(error.value)


def write_rows(folder: Path, rows) -> str:
    np.savetxt(folder / "c.txt", rows, fmt="%s")
    return f'matches = "file"\ncorrespondence = "{folder}/c.txt"'


def test_wrong_inputs_have_one_clear_message_each(tmp_path):
    identity = np.arange(642)
    text = refused(tmp_path, write_rows(tmp_path, identity[:600]))
    assert "has 600 rows, but a.ply has 642 vertices" in text and 'direction = "target_to_source"' in text
    outside = identity.copy()
    outside[7] = 642
    assert "row 8: names vertex 642, but b.ply has the vertices 0 to 641" in refused(
        tmp_path, write_rows(tmp_path, outside)
    )
    assert "base = 1" in refused(tmp_path, write_rows(tmp_path, identity) + "\nbase = 1")
    assert "no list of vertex numbers" in refused(tmp_path, write_rows(tmp_path, ["a"] * 642))
    assert "whole numbers" in refused(tmp_path, write_rows(tmp_path, identity + 0.5))
    assert "go together" in refused(tmp_path, 'matches = "file"')
    assert "needs matches" in refused(tmp_path, 'matches = "none"\nalign = "rigid"')
    scaled = write_pair(tmp_path, lambda x: 30.0 * x)
    text = refused(tmp_path, "", scaled)
    assert "30 times as large" in text and 'align = "similarity"' in text


def test_shapes_that_are_empty_or_of_another_order_are_refused(tmp_path):
    source, target = write_pair(tmp_path)
    vertices, faces = ball()
    write_mesh(target, vertices[:-1], faces[(faces < 641).all(axis=1)])
    assert "a.ply has 642 vertices and b.ply 641" in refused(tmp_path, "", (source, target))
    (tmp_path / "empty.obj").write_text("")
    assert "empty.obj" in refused(tmp_path, "", (tmp_path / "empty.obj", target))
    assert "absent.ply" in refused(tmp_path, "", (source, tmp_path / "absent.ply"))


def test_parts_that_do_not_hang_together_are_said(tmp_path):
    vertices, faces = ball()
    two, twice = np.concatenate([vertices, vertices + 9.0]), np.concatenate([faces, faces + len(vertices)])
    for name, x in (("a.ply", two), ("b.ply", turned(two))):
        write_mesh(tmp_path / name, x, twice)
    notes = open_pair(tmp_path, "", (tmp_path / "a.ply", tmp_path / "b.ply")).notes
    assert sum("2 parts that do not hang together" in note for note in notes) == 2


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    from neuralfw.session import train

    folder = tmp_path_factory.mktemp("trained")
    source, target = write_pair(folder)
    return train(write_recipe(folder, source, target, steps=100), out=folder / "run"), folder


def test_the_source_is_carried_into_the_target_with_its_faces(trained):
    from typer.testing import CliRunner

    from neuralfw.cli import app
    from neuralfw.geometry import read_mesh

    run, folder = trained
    half = ball()[0]
    s, c = np.sin(np.radians(20.0)), np.cos(np.radians(20.0))
    middle = (half - [5, 0, 1]) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T + [5.1, 0.05, 1.0]
    write_mesh(folder / "middle.ply", middle, ball()[1])
    more = ["--between", str(folder / "middle.ply"), "--animation", str(folder / "moving.glb")]
    done = CliRunner().invoke(app, ["deform", str(run), "--times", "0.5,1", *more])
    assert done.exit_code == 0, done.output
    first = trimesh.load(folder / "moving.glb", process=False).to_geometry()
    np.testing.assert_allclose(first.vertices, ball()[0], atol=1e-5)
    np.testing.assert_array_equal(first.faces, ball()[1])
    found = json.loads((run / "eval/deformation.json").read_text())
    assert found["end"]["chamfer_percent"] < 1.0 and found["end"]["flipped_percent"] == 0.0
    assert found["end"]["vertices_rmse_percent"] < 2.0
    assert found["between"][0]["carried_rmse_percent"] < 2.5
    area = trimesh.Trimesh(*ball(), process=False).area
    diagonal = np.linalg.norm(np.ptp(turned(ball()[0]), axis=0))
    expected = 10.0 * found["end"]["chamfer_percent"] * diagonal / np.sqrt(area)
    assert found["end"]["chamfer_x1000"] == pytest.approx(expected)
    assert 0.0 < found["area_deviation_x10"] < 0.3
    assert abs(found["half_area_percent"] - found["times"]["0.5"]["area_percent"]) < 0.01  # a turn: both ends have one
    end = read_mesh(run / "deformed/source_t1.000.ply")
    assert (end.faces == ball()[1]).all()
    assert abs(found["times"]["1"]["volume_percent"]) < 5.0


def test_frames_between_are_judged_by_the_named_protocol(trained, tmp_path):
    from typer.testing import CliRunner

    from neuralfw.cli import app

    run, _ = trained
    s, c = np.sin(np.radians(20.0)), np.cos(np.radians(20.0))
    middle = (ball()[0] - [5, 0, 1]) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T + [5.1, 0.05, 1.0]
    for k, vertices in enumerate((ball()[0], middle, turned(ball()[0]))):
        write_mesh(tmp_path / f"true/frame_{k}.ply", vertices, ball()[1])
    asked = ["eval", str(run), "--protocol", "4deform", "--reference", str(tmp_path / "true")]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0 and "P-RMSE" in done.output, done.output
    found = json.loads((run / "eval/4deform.json").read_text())
    area = trimesh.Trimesh(*ball(), process=False).area
    assert found["frames"][0]["time"] == 0.5 and found["metrics"]["area_deviation"]["value"] == 0.0
    diagonal = np.linalg.norm(np.ptp(middle, axis=0))
    assert found["metrics"]["vertices_rmse"]["value"] < 0.025 * diagonal / np.sqrt(area)


def test_ways_are_written_as_lines_and_what_moves_as_a_film(trained, tmp_path):
    from PIL import Image
    from typer.testing import CliRunner

    from neuralfw.cli import app
    from neuralfw.geometry import read_mesh

    run, _ = trained
    film = tmp_path / "there.gif"
    done = CliRunner().invoke(app, ["deform", str(run), "--times", "1", "--tracks", "10", "--film", str(film)])
    assert done.exit_code == 0, done.output
    lines = (run / "deformed/tracks.obj").read_text().splitlines()
    points = np.array([line.split()[1:] for line in lines if line.startswith("v ")], dtype=float)
    ways = [[int(k) - 1 for k in line.split()[1:]] for line in lines if line.startswith("l ")]
    assert len(ways) == 10 and np.sort(np.concatenate(ways)).tolist() == list(range(len(points)))
    start, end = ball()[0], read_mesh(run / "deformed/source_t1.000.ply").vertices
    for way, vertex in zip(ways, np.linspace(0, 641, 10).round().astype(int), strict=True):
        assert np.abs(points[way[0]] - start[vertex]).max() < 1e-5
        assert np.abs(points[way[-1]] - end[vertex]).max() < 1e-5
    with Image.open(film) as frames:
        assert frames.n_frames == 80  # 41 moments and those between them back
    refused = CliRunner().invoke(app, ["deform", str(run), "--film", str(tmp_path / "there.avi")])
    assert refused.exit_code == 2 and ".gif" in refused.output
