"""Folders as the authors' preprocessing takes them, of both kinds, become recipes of pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from known_pairs import ball, turned
from typer.testing import CliRunner

from neuralfw.cli import app
from neuralfw.errors import UserError
from neuralfw.geometry import write_mesh
from neuralfw.scene import Scene
from neuralfw.session import check
from neuralfw_velocity.official import convert
from neuralfw_velocity.shapes import ShapePairs


def write_off(folder: Path, name: str, vertices: np.ndarray, faces: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_mesh(folder / f"{name}.ply", vertices, faces)


def matching(folder: Path, name: str = "tr_reg_000-tr_reg_001") -> np.ndarray:
    """Write two meshings of one shape, its vertices in another order, and the matches, counted from 1."""
    vertices, faces = ball()
    order = np.random.default_rng(0).permutation(len(vertices))
    write_off(folder / "off", "tr_reg_000", vertices, faces)
    write_off(folder / "off", "tr_reg_001", turned(vertices)[order], np.argsort(order)[faces])
    (folder / "corr").mkdir()
    np.save(folder / "corr" / f"{name}_p2p.npy", order[None] + 1)
    return order


def opened(recipe: Path) -> ShapePairs:
    checked = check(recipe)
    return Scene(checked.recipe, checked.registry, torch.device("cpu")).open_data("pair")


def test_matching_gives_a_recipe_whose_matches_are_true(tmp_path):
    matching(tmp_path / "data")
    done = CliRunner().invoke(app, ["data", "convert", str(tmp_path / "data"), str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    pair = opened(tmp_path / "out/tr_reg_000-tr_reg_001.toml")
    assert len(pair.pairs[0].matches["points"]) == 642
    torch.testing.assert_close(pair.pairs[0].matches["points"], pair.pairs[0].matches["target"], atol=1e-4, rtol=0.0)


def test_template_gives_all_ordered_pairs_numbered_as_the_authors_do(tmp_path):
    vertices, faces = ball()
    for name in ("s10", "s2", "s1"):
        write_off(tmp_path / "data/off", name, vertices, faces)
    assert convert(tmp_path / "data", tmp_path / "out") == ["6 pairs of 3 shapes"]
    lines = (tmp_path / "out/pairs.txt").read_text().splitlines()
    assert "0 2 s1-s10.toml" in lines and "1 0 s2-s1.toml" in lines and len(lines) == 6
    assert len(opened(tmp_path / "out/s2-s10.toml").pairs[0].matches["points"]) == 642


def test_a_cut_is_matched_to_the_full_shape_beside_its_folder(tmp_path):
    vertices, faces = ball()
    kept = np.flatnonzero(vertices[:, 2] > 0.5)
    place = np.full(len(vertices), -1)
    place[kept] = np.arange(len(kept))
    inside = faces[(place[faces] >= 0).all(axis=1)]
    write_off(tmp_path / "null/off", "cat", vertices, faces)
    write_off(tmp_path / "cuts/off", "cuts_cat_shape_1", vertices[kept], place[inside])
    np.save(tmp_path / "cuts/cat-cuts_cat_shape_1_p2p.npy", kept + 1)
    convert(tmp_path / "cuts", tmp_path / "out")
    pair = opened(tmp_path / "out/cat-cuts_cat_shape_1.toml")
    assert len(pair.pairs[0].matches["points"]) == len(kept)
    torch.testing.assert_close(pair.pairs[0].matches["points"], pair.pairs[0].matches["target"], atol=1e-4, rtol=0.0)


def test_entries_that_are_too_many_or_name_no_vertex_are_left_out_and_said(tmp_path):
    order = matching(tmp_path / "data")
    rows = np.concatenate([order + 1, [1, 1, 1]])
    rows[:5] = 643
    np.save(tmp_path / "data/corr/tr_reg_000-tr_reg_001_p2p.npy", rows)
    assert "5 entries name no vertex" in convert(tmp_path / "data", tmp_path / "out")[1]
    assert len(opened(tmp_path / "out/tr_reg_000-tr_reg_001.toml").pairs[0].matches["points"]) == 637


def test_what_is_wrong_is_said(tmp_path):
    order = matching(tmp_path / "short")
    np.save(tmp_path / "short/corr/tr_reg_000-tr_reg_001_p2p.npy", order[:600] + 1)
    with pytest.raises(UserError, match=r"has 600 entries, but tr_reg_001\.ply has 642"):
        convert(tmp_path / "short", tmp_path / "a")
    matching(tmp_path / "other", "tr_reg_000-tr_reg_007")
    with pytest.raises(UserError, match="which two meshes it is about"):
        convert(tmp_path / "other", tmp_path / "b")
    write_off(tmp_path / "one/off", "alone", *ball())
    with pytest.raises(UserError, match="one mesh, but a pair was expected"):
        convert(tmp_path / "one", tmp_path / "c")
