"""A grid as a table: mean and spread over seeds, time, memory, and figures from elsewhere beside."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from .cell import DONE, FAILED
from .grid import Cell, Grid

GIGABYTE = 1e9


def summary(grid: Grid, cells: Sequence[Cell], results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return for each recipe on each scene: runs done and failed, minutes, memory, and of each figure mean and spread.

    The spread is the standard deviation over seeds (n - 1), None of a single one; time is the mean, memory the largest.
    """
    found = []
    for name, scene in dict.fromkeys((cell.recipe, cell.scene) for cell in cells):
        here = [r for c, r in zip(cells, results, strict=True) if (c.recipe, c.scene) == (name, scene)]
        done = [r for r in here if r["status"] == DONE]
        keys = dict.fromkeys(key for r in done for key in r["figures"] if not grid.figures or key in grid.figures)
        found.append({
            "recipe": name,
            "scene": scene,
            "done": len(done),
            "failed": sum(r["status"] == FAILED for r in here),
            "minutes": statistics.fmean(r["seconds"] for r in done) / 60.0 if done else None,
            "memory": max((r["memory"] for r in done if r["memory"]), default=None),
            "device_memory": max((r["device_memory"] for r in done if r["device_memory"]), default=None),
            "figures": {key: _spread([r["figures"][key] for r in done if key in r["figures"]]) for key in keys},
        })  # fmt: skip
    return found


def _spread(values: Sequence[float]) -> dict[str, Any]:
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "deviation": deviation, "values": [*values]}


def markdown(grid: Grid, rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield a table of Markdown for each scene; published figures have rows of their own, with their source."""
    for scene in dict.fromkeys(row["scene"] for row in rows):
        here = [row for row in rows if row["scene"] == scene]
        published = [row for row in grid.published if row.scene == scene]
        keys = [*dict.fromkeys([*(k for row in here for k in row["figures"]), *(row.figure for row in published)])]
        yield f"**{scene}**"
        yield ""
        yield f"| | {' | '.join(keys)} | minutes | memory | runs |".replace("|  |", "|")
        yield "|---" * (4 + len(keys)) + "|"
        for row in here:
            cells = [_told(row["figures"].get(key)) for key in keys]
            runs = f"{row['done']}" + (f", **{row['failed']} failed**" if row["failed"] else "")
            yield _line(f"`{row['recipe']}`", cells, _minutes(row["minutes"]), _memory(row), runs)
        for name, source in dict.fromkeys((row.name, row.source) for row in published):
            values = {row.figure: row.value for row in published if (row.name, row.source) == (name, source)}
            cells = [f"{values[key]:.4g}" if key in values else "" for key in keys]
            yield _line(f"{name} ({source})", cells, "", "", "published")
        yield ""


def _line(name: str, cells: Sequence[str], *more: str) -> str:
    return f"| {' | '.join((name, *cells, *more))} |"


def _told(figure: dict[str, Any] | None) -> str:
    if figure is None:
        return "-"
    deviation = figure["deviation"]
    return f"{figure['mean']:.4g}" + ("" if deviation is None else f" ± {deviation:.2g}")


def _minutes(minutes: float | None) -> str:
    return "-" if minutes is None else f"{minutes:.1f}"


def _memory(row: dict[str, Any]) -> str:
    told = [f"{row['memory'] / GIGABYTE:.1f} GB"] if row["memory"] else []
    return ", ".join([*told, *([f"device {row['device_memory'] / GIGABYTE:.1f} GB"] if row["device_memory"] else [])])
