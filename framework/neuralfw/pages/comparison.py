"""Runs side by side: what differs in their recipes, whose figures are better and by how much."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import UserError
from ..strict_json import dumps
from .records import Record, flat

ABSENT = "–"

_DATA = r"data\.\w+\.(path|source|target)"


@dataclass(frozen=True)
class Difference:
    """A key of the recipes that is not the same in all runs, with its value in each as TOML would have it."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """A figure in every run.

    Attributes:
        name, unit, definition: as the evaluation tells.
        better: "higher", "lower" or "" where neither is.
        values: one for each run; None where it has not got it.
        best: index of the best value; None where no two runs can be told apart.
        by: how much better the best is than the second best, in words: of decibels the difference, of others the share.
    """

    name: str
    unit: str
    better: str
    definition: str
    values: tuple[float | None, ...]
    best: int | None
    by: str


@dataclass(frozen=True)
class Table:
    """The figures of one protocol, or the costs; `doubts` say why its rows may not be comparable."""

    title: str
    rows: tuple[Row, ...]
    doubts: tuple[str, ...] = ()


def named(records: Sequence[Record]) -> list[str]:
    """Return a short name for each run: its folder's, with as many parents as tell all of them apart.

    Raises:
        UserError: fewer than two runs, or one given twice.
    """
    if len(records) < 2:
        raise UserError("compare takes at least two runs")
    paths = [record.folder.root.resolve().parts for record in records]
    if len({*paths}) < len(paths):
        raise UserError("compare: one run is given twice")
    depth = next(n for n in range(1, max(map(len, paths)) + 1) if len({p[-n:] for p in paths}) == len(paths))
    return ["/".join(path[-depth:]) for path in paths]


def differences(records: Sequence[Record]) -> list[Difference]:
    """Return the keys of the resolved recipes whose values are not the same in all runs."""
    trees = [flat(record.recipe) for record in records]
    keys = dict.fromkeys(key for tree in trees for key in tree)
    found = []
    for key in keys:
        values = tuple(ABSENT if key not in tree else _text(tree[key]) for tree in trees)
        if len({*values}) > 1:
            found.append(Difference(key, values))
    return found


def tables(records: Sequence[Record]) -> list[Table]:
    """Return the figures of each protocol that some run was judged by, and what the runs cost."""
    found = []
    keys = (difference.key for difference in differences(records))
    elsewhere = ("the runs learnt from different data",) if any(re.fullmatch(_DATA, key) for key in keys) else ()
    for name in dict.fromkeys(name for record in records for name in record.figures):
        results = [record.figures.get(name) for record in records]
        metrics = dict.fromkeys(metric for result in results if result for metric in result["metrics"])
        rows = tuple(_row(metric, [r["metrics"].get(metric) if r else None for r in results]) for metric in metrics)
        found.append(Table(f"protocol {name}", rows, (*elsewhere, *_doubts(results))))
    return [*found, _costs(records)]


def _row(name: str, found: Sequence[dict[str, Any] | None]) -> Row:
    told = next(metric for metric in found if metric is not None)
    values = tuple(None if metric is None else _finite(metric["value"]) for metric in found)
    return _judged(name, told["unit"], told["better"], told["definition"], values)


def _judged(name: str, unit: str, better: str, definition: str, values: tuple[float | None, ...]) -> Row:
    known = sorted((value, index) for index, value in enumerate(values) if value is not None)
    known = known if better == "lower" else known[::-1]
    if better not in ("lower", "higher") or len(known) < 2 or known[0][0] == known[1][0]:
        return Row(name, unit, better, definition, values, None, "")
    (first, index), (second, _) = known[:2]
    if unit == "dB":
        by = f"{abs(first - second):.2f} dB"
    else:
        by = f"{abs(first - second) / abs(second):.2%}" if second else ""
    return Row(name, unit, better, definition, values, index, by)


def _doubts(results: Sequence[dict[str, Any] | None]) -> list[str]:
    """Return what of the evaluations was not the same."""
    made = [result for result in results if result is not None]
    found = []
    for key in ("views", "samples", "seed", "length", "points"):
        values = {dumps(result.get(key)) for result in made}
        if len(values) > 1:
            found.append(f"{key} differ: {', '.join(dumps(result.get(key)) for result in made)}")
    return found


def _costs(records: Sequence[Record]) -> Table:
    training = tuple(sum(span.seconds for span in record.spans) if record.spans else None for record in records)
    memory = tuple(_mebibytes(record.cost.get("memory")) for record in records)
    steps = tuple(float(record.step) for record in records)
    machines = {(r.environment.get("device_name"), r.environment.get("threads")) for r in records}
    doubts = ("they ran on different devices or with different numbers of threads",) if len(machines) > 1 else ()
    return Table(
        "cost",
        (
            _judged("steps", "", "", "last step that was logged", steps),
            _judged("training", "s", "lower", "wall-clock seconds of all stages", training),
            _judged("memory", "MiB", "lower", "largest resident memory of the process", memory),
        ),
        doubts,
    )


def _mebibytes(count: int | None) -> float | None:
    return None if count is None else count / 2**20


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else dumps(value)
