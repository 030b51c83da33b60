"""Run directories: made only where nothing is lost, found with a hint, and their small files checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from neuralfw.errors import UserError, saying
from neuralfw.registry import Registry
from neuralfw.rundir import RunFolder, environment


def test_new_folder_is_absent_or_empty(tmp_path: Path) -> None:
    folder = RunFolder.new("igr", tmp_path / "a/b")
    assert folder.root == tmp_path / "a/b"
    assert folder.root.is_dir()
    assert RunFolder.new("igr", tmp_path / "a/b").root == folder.root
    (folder.root / "x").touch()
    with pytest.raises(UserError, match=f"{folder.root} is not empty: .* neuralfw resume {folder.root}"):
        RunFolder.new("igr", folder.root)
    with pytest.raises(UserError, match="is not empty"):
        RunFolder.new("igr", folder.root / "x")
    with pytest.raises(UserError, match=r"cannot make the run directory .*: Not a directory"):
        RunFolder.new("igr", folder.root / "x/y")


def test_default_folder_is_new_under_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    a, b = RunFolder.new("igr", None), RunFolder.new("igr", None)
    assert a.root.parent == b.root.parent == Path("runs/igr")
    assert a.root != b.root


def test_discarding_removes_only_what_never_began(tmp_path: Path) -> None:
    folder = RunFolder.new("igr", tmp_path / "a")
    folder.write(folder.frame, "{}")
    folder.discard()
    assert not folder.root.exists()
    folder = RunFolder.new("igr", tmp_path / "b")
    folder.write(folder.metrics, "")
    folder.discard()
    assert folder.metrics.exists()


def test_existing_run_is_found_with_a_hint(tmp_path: Path) -> None:
    folder = RunFolder.new("igr", tmp_path / "bunny")
    with pytest.raises(UserError, match=r"bunny is not a run directory: it holds no recipe\.toml$"):
        RunFolder.existing(folder.root)
    folder.write(folder.recipe, "")
    assert RunFolder.existing(folder.root).root == folder.root
    with pytest.raises(UserError, match=f"closest: {folder.root}"):
        RunFolder.existing(tmp_path / "buny")


def test_small_files_carry_their_format(tmp_path: Path) -> None:
    folder = RunFolder.new("igr", tmp_path / "a")
    folder.write_json(folder.scene, {"bounds": [1, 2]})
    assert folder.read_json(folder.scene) == {"format": 1, "bounds": [1, 2]}
    for text, message in (
        ('{"format": 2}', "has format 2, this neuralfw reads format 1"),
        ("[1]", "has format None"),
        ("{", "cannot be read"),
    ):
        folder.scene.write_text(text)
        with pytest.raises(UserError, match=message):
            folder.read_json(folder.scene)
    with pytest.raises(UserError, match="cannot be read"):
        folder.read_json(folder.environment)


def test_environment_says_what_may_change_a_result() -> None:
    facts = json.loads(json.dumps(environment(Registry(), "cpu")))
    expected = {"versions", "plugins", "backends", "device", "device_name", "threads", "cores", "machine", "commit"}
    assert {*facts} >= expected
    assert facts["versions"]["torch"]
    assert facts["threads"] >= 1


def test_saying_names_action_path_and_reason(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"cannot read {tmp_path}: Is a directory"), saying("read", tmp_path):
        tmp_path.read_text()
