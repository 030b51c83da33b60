"""Sequences of shapes: each with the next as a pair, told apart by the codes of both ends."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from known_pairs import HEAD, ball, turned
from typer.testing import CliRunner

from neuralfw.cli import app
from neuralfw.components import Draw
from neuralfw.errors import UserError
from neuralfw.geometry import read_mesh, write_mesh
from neuralfw.run import Run
from neuralfw.scene import Scene
from neuralfw.session import check, train
from neuralfw_velocity.config import ShapeSequenceConfig
from neuralfw_velocity.sequence import pairs_of
from neuralfw_velocity.shapes import ShapePairs

SEQUENCE = """
[data.pair]
type = "shape_sequence"
path = "{path}"
{more}

[fields.codes]
type = "latents"
per  = "pair"
of   = "ends"
dim  = 3
std  = 0.5

[fields.velocity]
type   = "mlp_velocity"
width  = 32
layers = 2
latent = "codes"

[[stages]]
name   = "velocity"
steps  = {steps}
train  = {{ velocity = {{ lr = 1e-2 }}, codes = {{ lr = 1e-2 }} }}
passes = {{ paths = {{ data = "pair.neighbors", renderer = "advect", batch = 256 }} }}
losses = [{{ type = "matching", on = "paths", weight = 100.0 }}]
"""


def write_shapes(folder: Path, *shapes: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    for number, vertices in enumerate(shapes):
        write_mesh(folder / f"s{8 + number}.ply", vertices, ball()[1])
    return folder


def write_sequence(folder: Path, *shapes: np.ndarray, more: str = "", steps: int = 2) -> Path:
    path = folder / "sequence.toml"
    path.write_text(HEAD + SEQUENCE.format(path=write_shapes(folder / "shapes", *shapes), more=more, steps=steps))
    return path


def opened(recipe: Path) -> ShapePairs:
    checked = check(recipe)
    return Scene(checked.recipe, checked.registry, torch.device("cpu")).open_data("pair")


def names(folder: Path, **options) -> list[str]:
    found = pairs_of(ShapeSequenceConfig(path=folder, **options))
    return [f"{pair.source.stem}-{pair.target.stem}" for pair in found]


def test_shapes_are_ordered_by_the_value_of_their_numbers_and_chosen(tmp_path):
    folder = write_shapes(tmp_path / "shapes", *[ball()[0]] * 5)
    assert names(folder) == ["s8-s9", "s9-s10", "s10-s11", "s11-s12"]
    assert names(folder, first=1, every=2) == ["s9-s11"]
    assert names(folder, first=1, count=3) == ["s9-s10", "s10-s11"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"first": 4}, "gives 1 shapes from first = 4"),
        ({"every": 2, "count": 4}, "gives 3 shapes.*but 4 were expected"),
        ({"matches": "file", "correspondence": "maps"}, "holds 1 files of matches.*5 shapes make 4 pairs"),
        ({"matches": "file", "correspondence": "nowhere"}, "nowhere is no folder"),
    ],
)
def test_what_a_folder_cannot_give_is_said(tmp_path, options, words):
    folder = write_shapes(tmp_path / "shapes", *[ball()[0]] * 5)
    (tmp_path / "maps").mkdir()
    np.savetxt(tmp_path / "maps/s8-s9.txt", np.arange(642), fmt="%d")
    options = {k: tmp_path / v if k == "correspondence" else v for k, v in options.items()}
    with pytest.raises(UserError, match=words):
        names(folder, **options)


def test_a_batch_has_as_many_of_each_pair_and_neighbours_of_the_same(tmp_path):
    x = ball()[0]
    data = opened(write_sequence(tmp_path, x, turned(x), x))
    draw = ShapeSequenceConfig.Draw(batch=200)
    found = data.sample(Draw("neighbors", draw, 0, lambda k: torch.Generator().manual_seed(k % 2**32), None))
    assert found["index"].tolist() == [0] * 100 + [1] * 100
    partner = found["velocity/neighbor"]
    assert (partner[partner] == torch.arange(200)).all() and (found["index"][partner] == found["index"]).all()
    points, target = (data.frame.to_world(found[q].double().numpy()) for q in ("points", "target"))
    assert np.abs(turned(points[:100]) - target[:100]).max() < 1e-4
    assert np.abs(turned(target[100:]) - points[100:]).max() < 1e-4


def test_each_shape_is_laid_onto_the_one_before_as_that_lies(tmp_path):
    x = ball()[0]
    data = opened(write_sequence(tmp_path, x, 3.0 * turned(x), 0.5 * turned(turned(x)), more='align = "similarity"'))
    for pair in data.pairs:
        assert np.abs(pair.source.vertices - x).max() < 1e-4 and np.abs(pair.target.vertices - x).max() < 1e-4


def test_a_pair_has_the_codes_of_both_its_ends(tmp_path):
    x = ball()[0]
    checked = check(write_sequence(tmp_path, x, turned(x), x))
    scene = Scene(checked.recipe, checked.registry, torch.device("cpu")).build()
    codes = scene.fields["codes"]
    assert codes.codes.shape == (3, 3) and codes.dim == 6
    expected = torch.stack([codes.codes[:2].flatten(), codes.codes[1:].flatten()])
    torch.testing.assert_close(codes(torch.tensor([0, 1])), expected)


@pytest.fixture(scope="module")
def there_and_back(tmp_path_factory) -> Path:
    """A run on a shape that turns and turns back: no steady velocity does both without knowing which."""
    folder = tmp_path_factory.mktemp("there_and_back")
    x = ball()[0]
    recipe = write_sequence(folder, x, turned(x), x, steps=200)
    return train(recipe, out=folder / "run")


def test_one_velocity_goes_there_and_back(there_and_back, tmp_path):
    animation = tmp_path / "both.glb"
    done = CliRunner().invoke(app, ["deform", str(there_and_back), "--times", "1", "--animation", str(animation)])
    assert done.exit_code == 0, done.output
    found = json.loads((there_and_back / "eval/deformation.json").read_text())["pairs"]
    assert [pair["pair"] for pair in found] == ["s8-s9", "s9-s10"]
    assert all(pair["end"]["vertices_rmse_percent"] < 2.0 for pair in found)
    assert read_mesh(there_and_back / "deformed/s9-s10_t1.000.ply").vertices.shape == (642, 3)
    assert animation.stat().st_size > 49 * 642 * 12  # 49 moments of 642 vertices


def test_a_pair_is_chosen_by_name(there_and_back):
    done = CliRunner().invoke(app, ["deform", str(there_and_back), "--times", "1", "--shape", "s9-s10"])
    assert done.exit_code == 0, done.output
    assert json.loads((there_and_back / "eval/deformation.json").read_text())["pair"] == "s9-s10"
    mesh = str(there_and_back / "deformed/s9-s10_t1.000.ply")
    for flag in ("--mesh", "--between"):
        several = CliRunner().invoke(app, ["deform", str(there_and_back), flag, mesh])
        assert several.exit_code == 2 and "of s8-s9, s9-s10" in " ".join(several.output.split())
    wrong = CliRunner().invoke(app, ["deform", str(there_and_back), "--shape", "s9-s1"])
    assert wrong.exit_code == 2 and "s9-s10" in wrong.output


def test_meshes_are_written_in_the_target_s_world(tmp_path):
    x = ball()[0]
    recipe = write_sequence(tmp_path, x, 3.0 * turned(x), x, more='align = "similarity"')
    run = train(recipe, out=tmp_path / "run")
    CliRunner().invoke(app, ["deform", str(run), "--times", "0", "--shape", "s8-s9", "--world", "target"])
    moved = read_mesh(run / "deformed/s8-s9_t0.000.ply").vertices
    assert np.abs(moved - 3.0 * turned(x)).max() < 1e-3
    opened_run = Run(run)
    laid = opened_run.frame.to_training(x)
    for name, own in (("s8-s9", 3.0 * turned(x)), ("s9-s10", x)):
        assert np.abs(opened_run.frame_of(name, "target").to_world(laid) - own).max() < 1e-3
    with pytest.raises(UserError, match="no world 'middle'; it has target"):
        opened_run.frame_of("s8-s9", "middle")
