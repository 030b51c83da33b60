"""Checkpoints: tensors in safetensors, the rest in JSON; checksummed, written atomically, and nothing executes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..errors import UserError, saying
from ..geometry.files import write_file

FORMAT = 1
_SUMS = "checksums.json"


class CheckpointError(UserError):
    """A checkpoint cannot be read."""


@dataclass
class Checkpoint:
    """What a run needs to go on: named groups of tensors, and plain data."""

    tensors: dict[str, dict[str, Tensor]]
    state: dict[str, Any]


class Store:
    """The checkpoints folder of a run: folders `step-N`, and the files `latest` and `best`, which name one.

    A folder appears whole, by renaming, and is never written again: a second checkpoint of one step is `step-N-2`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, checkpoint: Checkpoint, step: int, keep: int, *, best: bool = False) -> Path:
        """Write a checkpoint, point `latest` (and `best`) at it and drop others but `best` and the `keep` newest.

        Raises:
            UserError: the disk is full or the folder read-only; what was saved before is untouched.
        """
        target = self._free(f"step-{step:08d}")
        partial = self.folder / f".partial-{target.name}"
        with saying("save the checkpoint", target):
            shutil.rmtree(partial, ignore_errors=True)
            try:
                partial.mkdir(parents=True)
                _write(partial, checkpoint)
                partial.rename(target)
                _sync(self.folder)
            except SafetensorError as error:
                raise OSError(str(error)) from error
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        for pointer in ("latest", "best") if best else ("latest",):
            write_file(self.folder / pointer, target.name.encode())
        self._prune(target, keep)
        return target

    def _free(self, name: str) -> Path:
        folder, copy = self.folder / name, 1
        while folder.exists():
            copy += 1
            folder = self.folder / f"{name}-{copy}"
        return folder

    def _prune(self, newest: Path, keep: int) -> None:
        """Drop what is older than the `keep` newest, and what is ahead: a future that a damaged checkpoint cut off."""
        names = [p.name for p in self.saved() if p <= newest]
        kept = {*names[-keep:], self._named("best")}
        for folder in [*self.folder.glob("step-*"), *self.folder.glob(".partial-*")]:
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def saved(self) -> list[Path]:
        """Return the folders of the checkpoints, oldest first."""
        return sorted(p for p in self.folder.glob("step-*") if (p / _SUMS).is_file())

    def _named(self, which: str) -> str | None:
        try:
            return (self.folder / which).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return None

    def path(self, which: str = "latest") -> Path:
        """Return the folder of a checkpoint: "latest", "best" or "step-…".

        Raises:
            CheckpointError: there is none.
        """
        name = self._named(which) if which in ("latest", "best") else which
        folder = self.folder / (name or which)
        if folder.parent != self.folder or not folder.is_dir():
            raise CheckpointError(f"{self.folder} holds no checkpoint {which!r}")
        return folder

    def load(self, which: str = "latest") -> tuple[Checkpoint, list[str]]:
        """Read a checkpoint; where `latest` is missing or damaged, the newest whole one before it, and notes on that.

        Raises:
            CheckpointError: none can be read.
        """
        notes: list[str] = []
        candidates = self.saved()[::-1] if which == "latest" else []
        try:
            wanted = self.path(which)
            candidates = [wanted, *(p for p in candidates if p < wanted)]
        except CheckpointError as error:
            notes.append(str(error))
        for folder in candidates:
            try:
                return _read(folder), notes
            except CheckpointError as error:
                notes.append(str(error))
        raise CheckpointError("; ".join(notes))


def _write(folder: Path, checkpoint: Checkpoint) -> None:
    for group, tensors in checkpoint.tensors.items():
        plain = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
        save_file(plain, folder / f"{group}.safetensors")
    state = {"format": FORMAT, **checkpoint.state}
    (folder / "state.json").write_text(json.dumps(state, indent=1, sort_keys=True), encoding="utf-8")
    sums = {file.name: _digest(file) for file in sorted(folder.iterdir())}
    (folder / _SUMS).write_text(json.dumps(sums, indent=1), encoding="utf-8")
    for file in folder.iterdir():
        _sync(file)
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
        found = state.get("format")
    except OSError as error:
        raise CheckpointError(f"{folder} is damaged: {error.strerror or error}: {error.filename}") from error
    except (ValueError, AttributeError, SafetensorError) as error:
        raise CheckpointError(f"{folder} is damaged: {error}") from error
    if found != FORMAT:
        raise CheckpointError(f"{folder} has format {found}, this neuralfw reads format {FORMAT}")
    return Checkpoint(tensors, state)
