"""Text in columns, no wider than a terminal."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Sequence

WIDTH = 110


def columns(rows: Iterable[Sequence[str]], indent: str = "") -> list[str]:
    """Return rows as lines with aligned columns; the last column is not padded."""
    table = [list(row) for row in rows]
    if not table:
        return []
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]) - 1)]
    lines = ("  ".join([*(c.ljust(w) for c, w in zip(row[:-1], widths, strict=True)), row[-1]]) for row in table)
    return [(indent + line).rstrip() for line in lines]


def wrapped(rows: Sequence[Sequence[str]], indent: str = "") -> list[str]:
    """Return rows in columns, the last one wrapped to the width of the terminal."""
    lines = columns([(*row[:-1], "") for row in rows], indent)
    start = len(indent) + sum(max(len(r[i]) for r in rows) + 2 for i in range(len(rows[0]) - 1)) if rows else 0
    room = max(30, width() - start)
    found = []
    for row, line in zip(rows, lines, strict=True):
        first, *rest = textwrap.wrap(row[-1], room) or [""]
        found += [f"{line:<{start}}{first}".rstrip(), *(" " * start + part for part in rest)]
    return found


def width() -> int:
    """Return how wide a line may be."""
    return min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)
