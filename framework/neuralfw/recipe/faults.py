"""What is wrong with a recipe, where it is written, and how all of it is told at once."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError

_GUTTER = 6
_WIDEST_LINE = 100
_MOST_ALLOWED = 12


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a key or value was written.

    In a recipe file `line` and `column` count from 1, `end_column` is exclusive, `text` is the whole line and `label`
    the file's name as shown; `line = 0` means the file as a whole. On the command line `file` is None, `line` is the
    number of the override, `text` the override and `label` "override <number>".
    """

    file: Path | None
    line: int = 0
    column: int = 0
    end_column: int = 0
    text: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a recipe: `message` says what, `closest` and `allowed` are names, `hint` is the remedy."""

    origin: Origin
    message: str
    allowed: Sequence[str] = ()
    closest: Sequence[str] = ()
    hint: str = ""

    def render(self) -> str:
        """Return the fault as text of one to four lines."""
        origin = self.origin
        if origin.file is None:
            lines = [f"{origin.label}  --set {_printable(origin.text)}   {self.message}"]
            notes = [" " * (len(origin.label) + 2) + note for note in self._notes()]
        elif origin.line == 0:
            lines = [f"{origin.label}  {self.message}"]
            notes = [" " * (_GUTTER + 1) + note for note in self._notes()]
        else:
            text, marker = _excerpt(origin)
            place = f"{origin.label}:{origin.line}:{origin.column}"
            lines = [f"{place}  {self.message}", f"{origin.line:>{_GUTTER}} | {text}"]
            first, *rest = self._notes() or [""]
            notes = [f"{'':{_GUTTER}} | {note}" for note in (f"{marker}  {first}".rstrip(), *rest)]
        return "\n".join(lines + notes)

    def _notes(self) -> list[str]:
        names = []
        if self.closest:
            names.append("closest: " + ", ".join(self.closest))
        if self.allowed:
            shown = list(self.allowed[:_MOST_ALLOWED])
            if len(self.allowed) > _MOST_ALLOWED:
                shown.append(f"… ({len(self.allowed)} in all)")
            names.append("allowed: " + ", ".join(shown))
        return [*(["      ".join(names)] if names else []), *self.hint.splitlines()]


class RecipeError(UserError):
    """A recipe that cannot be run: every fault found in it, told at once."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=_place))
        super().__init__(self.render())

    def render(self) -> str:
        """Return all faults in the order of files and lines, overrides last, and a line that counts them."""
        return "\n".join([*(fault.render() for fault in self.faults), self._summary()])

    def _summary(self) -> str:
        counts = Counter(
            "on the command line" if fault.origin.file is None else f"in {fault.origin.label}" for fault in self.faults
        )
        parts = [f"{count} {where}" for where, count in counts.items()]
        total, _, first = parts[0].partition(" ")
        parts[0] = f"{total} fault{'' if total == '1' else 's'} {first}"
        return ", ".join(parts) + "; nothing was started."


def _place(fault: Fault) -> tuple[bool, str, int, int]:
    origin = fault.origin
    return origin.file is None, str(origin.file), origin.line, origin.column


def _excerpt(origin: Origin) -> tuple[str, str]:
    """Return the line, cut to a readable width around the place, and the marker that underlines the place."""
    text = origin.text
    begin = max(0, origin.column - 1)
    end = max(begin + 1, origin.end_column - 1)
    start = max(0, begin - _WIDEST_LINE // 3) if len(text) > _WIDEST_LINE else 0
    shown = text[start : start + _WIDEST_LINE]
    left = "…" if start else ""
    right = "…" if start + _WIDEST_LINE < len(text) else ""
    marked = text[begin:end][: start + _WIDEST_LINE - begin] or " "
    padding = "".join(" " * _width(c) if c != "\t" else c for c in left + text[start:begin])
    return _printable(left + shown + right), padding + "^" * sum(map(_width, marked))


def _width(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
