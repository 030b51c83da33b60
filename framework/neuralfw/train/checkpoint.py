"""Checkpoints: tensors in safetensors, the rest in JSON, checksummed and written atomically. Nothing in them executes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..errors import UserError

FORMAT = 1
_SUMS = "checksums.json"


class CheckpointError(UserError):
    """A checkpoint cannot be read or written."""


@dataclass
class Checkpoint:
    """What a run needs to go on: named groups of tensors, and plain data."""

    tensors: dict[str, dict[str, Tensor]]
    state: dict[str, Any]


@contextmanager
def saying(action: str, path: Path) -> Iterator[None]:
    """Turn failures of the file system into one clear message."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(f"cannot {action} {path}: {error.strerror or error}") from error


def write_atomically(path: Path, text: str) -> None:
    """Write a small file so that a reader, or a crash, sees the old text or the new, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class Store:
    """The checkpoints folder of a run: numbered folders, and the files `latest` and `best` that name one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, checkpoint: Checkpoint, step: int, keep: int, *, best: bool = False) -> Path:
        """Write a checkpoint, point `latest` (and `best`) at it and drop older ones beyond `keep`.

        Raises:
            CheckpointError: the disk is full or the folder read-only; what was saved before is untouched.
        """
        target = self.folder / f"step-{step:08d}"
        partial = self.folder / f".partial-{step:08d}"
        with saying("save the checkpoint", target):
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir()
                _write(partial, checkpoint)
                if target.exists():
                    shutil.rmtree(target)
                partial.rename(target)
            except SafetensorError as error:
                raise OSError(str(error)) from error
            finally:
                shutil.rmtree(partial, ignore_errors=True)
            write_atomically(self.folder / "latest", target.name)
            if best:
                write_atomically(self.folder / "best", target.name)
            self._prune(keep)
        return target

    def _prune(self, keep: int) -> None:
        kept = {self._named("best")}
        for old in self.saved()[:-keep]:
            if old.name not in kept:
                shutil.rmtree(old, ignore_errors=True)

    def saved(self) -> list[Path]:
        """Return the complete checkpoints, oldest first."""
        return sorted(p for p in self.folder.glob("step-*") if (p / _SUMS).is_file())

    def _named(self, which: str) -> str | None:
        try:
            return (self.folder / which).read_text(encoding="utf-8").strip()
        except OSError:
            return None

    def path(self, which: str = "latest") -> Path:
        """Return the folder of a checkpoint: "latest", "best" or "step-…".

        Raises:
            CheckpointError: there is none.
        """
        name = self._named(which) or which
        folder = self.folder / name
        if folder.parent != self.folder or not folder.is_dir():
            raise CheckpointError(f"{self.folder} holds no checkpoint {which!r}")
        return folder

    def load(self, which: str = "latest") -> tuple[Checkpoint, list[str]]:
        """Read a checkpoint; where `latest` is damaged, the newest whole one before it, and a note that says so.

        Raises:
            CheckpointError: none can be read.
        """
        wanted = self.path(which)
        notes: list[str] = []
        candidates = [wanted]
        if which == "latest":
            candidates += [p for p in reversed(self.saved()) if p.name < wanted.name]
        for folder in candidates:
            try:
                return _read(folder), notes
            except CheckpointError as error:
                notes.append(str(error))
        raise CheckpointError("; ".join(notes))


def _write(folder: Path, checkpoint: Checkpoint) -> None:
    names = []
    for group, tensors in checkpoint.tensors.items():
        names.append(f"{group}.safetensors")
        save_file({n: t.detach().contiguous().clone() for n, t in tensors.items()}, folder / names[-1])
    names.append("state.json")
    state = {"format": FORMAT, **checkpoint.state}
    (folder / "state.json").write_text(json.dumps(state, indent=1, sort_keys=True), encoding="utf-8")
    sums = {name: _digest(folder / name) for name in names}
    for name in names:
        _sync(folder / name)
    (folder / _SUMS).write_text(json.dumps(sums, indent=1, sort_keys=True), encoding="utf-8")
    _sync(folder / _SUMS)
    _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(folder: Path) -> Checkpoint:
    try:
        sums: Mapping[str, str] = json.loads((folder / _SUMS).read_text(encoding="utf-8"))
        for name, digest in sums.items():
            if Path(name).name != name or _digest(folder / name) != digest:
                raise CheckpointError(f"{folder / name} is damaged: its checksum does not match")
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        groups = [n.removesuffix(".safetensors") for n in sums if n.endswith(".safetensors")]
        tensors = {g: load_file(folder / f"{g}.safetensors") for g in groups}
    except (OSError, ValueError, AttributeError, SafetensorError) as error:
        raise CheckpointError(f"{folder} is damaged: {error}") from error
    if state.get("format") != FORMAT:
        raise CheckpointError(f"{folder} has format {state.get('format')}, this neuralfw reads format {FORMAT}")
    return Checkpoint(tensors, state)
