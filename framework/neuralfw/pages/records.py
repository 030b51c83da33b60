"""What a run wrote down, read back: recipe, curves, figures, costs, notes. Loads no torch."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from ..rundir import RunFolder

_NO_CURVES = {"step", "stage", "seconds"}


@dataclass(frozen=True, eq=False)
class Curve:
    """A number over the steps of a run.

    Attributes:
        name: as metrics.jsonl has it, such as "loss/eikonal".
        steps: of the run, ascending.
        values: finite ones alone.
    """

    name: str
    steps: Int64[np.ndarray, " n"]
    values: Float64[np.ndarray, " n"]


@dataclass(frozen=True)
class Span:
    """A stage as it was trained: its first and last logged step and the seconds that went by."""

    name: str
    first: int
    last: int
    seconds: float


class Record:
    """The records of a run directory, each read when it is asked for.

    Attributes:
        folder: where they lie.
    """

    def __init__(self, root: Path) -> None:
        self.folder = RunFolder.existing(root)

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The resolved recipe as plain data."""
        return tomllib.loads(self.folder.recipe.read_text(encoding="utf-8"))

    @cached_property
    def lines(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; one that is cut short, as by a full disk, is passed over."""
        return [*_lines(self.folder.metrics)]

    @cached_property
    def curves(self) -> dict[str, Curve]:
        """The numbers that were logged, by name, in the order of their first line."""
        found: dict[str, list[tuple[int, float]]] = {}
        for line in self.lines:
            for name, value in line.items():
                if name not in _NO_CURVES and isinstance(value, int | float) and np.isfinite(value):
                    found.setdefault(name, []).append((line["step"], float(value)))
        return {
            name: Curve(name, np.array([s for s, _ in pairs], np.int64), np.array([v for _, v in pairs], np.float64))
            for name, pairs in found.items()
        }

    @cached_property
    def spans(self) -> list[Span]:
        """The stages that were trained, in order."""
        found: list[Span] = []
        before = 0.0
        for line in self.lines:
            name, seconds = str(line.get("stage", "")), float(line.get("seconds", 0.0))
            if found and found[-1].name == name:
                last = found[-1]
                found[-1] = Span(name, last.first, line["step"], last.seconds + seconds - before)
            else:
                found.append(Span(name, found[-1].last + 1 if found else 0, line["step"], seconds - before))
            before = seconds
        return found

    @cached_property
    def figures(self) -> dict[str, dict[str, Any]]:
        """The evaluations in eval/, by file name."""
        files = sorted(self.folder.eval.glob("*.json"))
        return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}

    @cached_property
    def environment(self) -> dict[str, Any]:
        """What environment.json says of the machine; {} where there is none."""
        return _object(self.folder.environment)

    @cached_property
    def cost(self) -> dict[str, Any]:
        """What cost.json says of seconds and memory; {} where there is none."""
        return _object(self.folder.cost)

    @cached_property
    def notes(self) -> list[str]:
        """The lines of log.txt."""
        log = self.folder.log
        return log.read_text(encoding="utf-8").splitlines() if log.is_file() else []

    @cached_property
    def step(self) -> int:
        """The last step that was logged; 0 where none was."""
        return int(self.lines[-1]["step"]) if self.lines else 0

    @cached_property
    def finished(self) -> bool:
        """Whether its newest checkpoint is that of the end of the last stage."""
        latest = self.folder.checkpoints / "latest"
        if not latest.is_file():
            return False
        state = _object(self.folder.checkpoints / latest.read_text(encoding="utf-8").strip() / "state.json")
        return int(state.get("stage", 0)) >= len(self.recipe.get("stages", ()))


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a tree of tables as one table with dotted keys; members of a list go by their name where they have one."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        place = f"{prefix}{key}"
        if isinstance(value, Mapping):
            leaves |= flat(value, f"{place}.")
        elif isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
            leaves |= flat({str(v.get("name", k)): v for k, v in enumerate(value)}, f"{place}.")
        else:
            leaves[place] = value
    return leaves


def _object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    value = json.loads(path.read_text(encoding="utf-8"))
    return value if isinstance(value, dict) else {}


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            yield line
