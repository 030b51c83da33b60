"""Checkpoints on disk: round trip, damage, full and read-only disks, and that nothing in them is executed."""

from __future__ import annotations

import errno
import json
import pickle
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from neuralfw.errors import UserError
from neuralfw.training.checkpoint import Checkpoint, CheckpointError, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "checkpoints")


def checkpoint(number: float) -> Checkpoint:
    weights = {"a": torch.full((1000, 3), number), "b": torch.tensor(number), "c": torch.arange(3)}
    return Checkpoint({"scene": weights, "empty": {}}, {"clock": {"run": number}})


def number_in(store: Store, which: str = "latest") -> float:
    return float(store.load(which)[0].tensors["scene"]["b"])


def test_round_trip_keeps_every_bit(store: Store) -> None:
    tensors = {
        "half": torch.randn(5).bfloat16(),
        "double": torch.randn(2, 2).double(),
        "odd": torch.tensor([True, False]),
    }
    tensors |= {"nothing": torch.empty(0, 3), "strided": torch.randn(4, 4).t(), "shared": torch.ones(3).expand(2, 3)}
    store.save(Checkpoint({"scene": tensors}, {"clock": {"run": 3}}), 3, keep=1)
    loaded, notes = store.load()
    assert notes == []
    assert loaded.state["clock"] == {"run": 3}
    for name, tensor in tensors.items():
        assert loaded.tensors["scene"][name].dtype == tensor.dtype
        assert torch.equal(loaded.tensors["scene"][name], tensor)


def test_keeps_the_newest_and_the_best(store: Store) -> None:
    for step in range(1, 7):
        store.save(checkpoint(step), step, keep=2, best=step == 3)
    assert [p.name for p in store.saved()] == ["step-00000003", "step-00000005", "step-00000006"]
    assert (number_in(store), number_in(store, "best"), number_in(store, "step-00000005")) == (6, 3, 5)


def test_second_checkpoint_of_a_step_does_not_touch_the_first(store: Store) -> None:
    store.save(checkpoint(1), 5, keep=3)
    store.save(checkpoint(2), 5, keep=3)
    assert [p.name for p in store.saved()] == ["step-00000005", "step-00000005-2"]
    assert number_in(store) == 2
    assert number_in(store, "step-00000005") == 1


def damage(folder: Path, how: str) -> None:
    file = folder / "scene.safetensors"
    if how == "truncated":
        file.write_bytes(file.read_bytes()[:-7])
    elif how == "bit":
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(bytes(data))
    elif how == "missing":
        file.unlink()
    elif how == "state":
        (folder / "state.json").write_text("{")
    elif how == "sums":
        (folder / "checksums.json").write_text("[]")
    else:
        for inner in folder.iterdir():
            inner.unlink()
        folder.rmdir()


@pytest.mark.parametrize("how", ["truncated", "bit", "missing", "state", "sums", "folder"])
def test_damage_falls_back_to_the_whole_one_before_and_says_so(how: str, store: Store) -> None:
    for step in (1, 2):
        store.save(checkpoint(step), step, keep=2)
    damage(store.folder / "step-00000002", how)
    loaded, notes = store.load()
    assert float(loaded.tensors["scene"]["b"]) == 1
    assert len(notes) == 1
    assert "step-00000002" in notes[0] or "latest" in notes[0]
    with pytest.raises(CheckpointError):
        store.load("step-00000002")


@pytest.mark.parametrize("pointer", ["", "../elsewhere", "step-00000009", "\x00", None])
def test_lost_pointer_finds_the_newest(pointer: str | None, store: Store) -> None:
    for step in (1, 2):
        store.save(checkpoint(step), step, keep=2)
    (store.folder / "latest").unlink() if pointer is None else (store.folder / "latest").write_text(pointer)
    assert number_in(store) == 2


def test_nothing_whole_is_one_clear_error(store: Store) -> None:
    with pytest.raises(CheckpointError, match="holds no checkpoint 'latest'"):
        store.load()
    store.save(checkpoint(1), 1, keep=1)
    damage(store.folder / "step-00000001", "bit")
    with pytest.raises(CheckpointError, match=r"scene\.safetensors is damaged: its checksum does not match"):
        store.load()


def test_damaged_future_is_dropped_by_the_next_save(store: Store) -> None:
    for step in (1, 3):
        store.save(checkpoint(step), step, keep=2)
    damage(store.folder / "step-00000003", "bit")
    store.save(checkpoint(2), 2, keep=1)
    assert [p.name for p in store.folder.glob("step-*")] == ["step-00000002"]
    assert number_in(store) == 2


def test_other_format_is_refused(store: Store) -> None:
    folder = store.save(Checkpoint({}, {"format": 2}), 1, keep=1)
    with pytest.raises(CheckpointError, match=f"{folder} has format 2, this neuralfw reads format 1"):
        store.load()


def test_pickled_tensors_are_never_loaded(store: Store, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> object:
            return (Path.touch, (tmp_path / "exploded",))

    folder = store.save(checkpoint(1), 1, keep=1)
    file = folder / "scene.safetensors"
    file.write_bytes(pickle.dumps(Bomb()))
    sums = json.loads((folder / "checksums.json").read_text())
    from neuralfw.training.checkpoint import _digest

    (folder / "checksums.json").write_text(json.dumps({**sums, file.name: _digest(file)}))
    with pytest.raises(CheckpointError, match="is damaged"):
        store.load()
    assert not (tmp_path / "exploded").exists()


def test_checksums_cannot_name_a_file_elsewhere(store: Store, tmp_path: Path) -> None:
    folder = store.save(checkpoint(1), 1, keep=1)
    (tmp_path / "other").write_text("x")
    (folder / "checksums.json").write_text(json.dumps({"../../other": "0"}))
    with pytest.raises(CheckpointError, match="damaged"):
        store.load()


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """Let no file grow beyond a size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_full_disk_is_one_message_and_leaves_the_last_state(size: int, store: Store) -> None:
    store.save(checkpoint(1), 1, keep=1)
    with (
        disk_of(size),
        pytest.raises(UserError, match=r"cannot save the checkpoint .*step-00000002: .*[Ff]ile too large"),
    ):
        store.save(checkpoint(2), 2, keep=1)
    assert number_in(store) == 1
    assert [p.name for p in store.folder.iterdir() if p.is_dir()] == ["step-00000001"]
    store.save(checkpoint(3), 3, keep=1)
    assert number_in(store) == 3


def test_read_only_folder_is_one_message(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError, match=r"cannot save the checkpoint .*: Read-only file system"):
        store.save(checkpoint(1), 1, keep=1)
