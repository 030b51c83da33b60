"""Reuses what an equal stage of an earlier run learnt, for stages with `cache = true`."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import Spec
from ..nn.build import cache_folder
from ..recipe.model import dump
from ..rundir import environment
from .checkpoint import CheckpointError, Store
from .state import capture, restore

if TYPE_CHECKING:
    from .trainer import Trainer

ENTRIES = 16
"""How many results the cache holds; the longest unused go first."""


class StageCache:
    """Results of stages in the user's cache folder, each under a key of all that it depends on.

    These are the state in which the stage begins, the stage, the components and the seed of its recipe, size and time
    of its data files, and whatever of the environment may change a result.
    """

    def __init__(self) -> None:
        self._folder = cache_folder() / "stages"
        self._key: str | None = None

    def load(self, trainer: Trainer) -> bool:
        """Bring the trainer to the end of the stage in which it stands, if that is known; says so."""
        self._key = _key(trainer)
        entry = self._folder / self._key
        try:
            checkpoint, _ = Store(entry).load()
        except CheckpointError:
            return False
        seconds = trainer.seconds
        restore(trainer, checkpoint)
        trainer.seconds, trainer.parts, self._key = seconds, {}, None
        entry.touch()
        trainer.say(f"stage {trainer.recipe.stages[trainer.stage].name!r} is taken from the cache: {entry}")
        return True

    def save(self, trainer: Trainer) -> None:
        """Keep the end of a stage whose beginning `load` saw."""
        if self._key is None:
            return
        Store(self._folder / self._key).save(capture(trainer), trainer.clock.run, keep=1)
        entries = sorted(self._folder.iterdir(), key=lambda entry: entry.stat().st_mtime_ns)
        for old in entries[:-ENTRIES]:
            shutil.rmtree(old, ignore_errors=True)
        self._key = None


def _key(trainer: Trainer) -> str:
    recipe, scene = trainer.recipe, trainer.scene
    machine = environment(scene.registry, str(scene.device))
    told = ("versions", "plugins", "backends", "device_name", "threads", "commit")
    facts: dict[str, Any] = {k: machine[k] for k in told}
    tables = ("seed", "precision", "frame", "validation", "data", "fields", "renderers")
    facts |= {table: dump(getattr(recipe, table)) for table in tables}
    facts |= {"stage": dump(recipe.stages[trainer.stage]), "clock": trainer.clock.state()}
    facts["files"] = sorted(entry for spec in recipe.data.values() for entry in _files(spec))
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    for group in capture(trainer).tensors.values():
        for name, tensor in sorted(group.items()):
            digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]


def _files(spec: Spec) -> Iterator[tuple[str, int, int]]:
    """Yield path, size and time of every file that a data table names, itself or by its folder."""
    for value in vars(spec.config).values():
        if isinstance(value, Path):
            for file in [value] if value.is_file() else sorted(value.rglob("*")):
                stat = file.stat()
                yield str(file), stat.st_size, stat.st_mtime_ns
