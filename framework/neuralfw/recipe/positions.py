"""Where the keys and values of a TOML text stand: tomllib reads the values, this finds their places."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from contextlib import suppress
from typing import Any, NamedTuple

KeyPath = tuple[str | int, ...]

MAX_DEPTH = 64

_BLANK = re.compile(r"[ \t]*+")
_BETWEEN = re.compile(r"(?:[ \t\n,]++|#[^\n]*+)*+")  # blank lines, comments and the commas of arrays and inline tables
_BARE = re.compile(r"[A-Za-z0-9_-]++")
_BASIC = re.compile(r'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"')
_LITERAL = re.compile(r"'[^'\n]*+'")
_STRING = re.compile(
    r'"""(?:[^"\\]++|\\[\s\S]|"{1,2}(?!"))*+"{3,5}'
    r"|'''(?:[^']++|'{1,2}(?!'))*+'{3,5}"
    r"|" + _BASIC.pattern + r"|" + _LITERAL.pattern
)
_CLEARER = {
    "Invalid value": "no value begins like this (text is written in quotes)",
    "Cannot overwrite a value": "this key has a value already",
    "Illegal character '\\n'": "the text is not closed on its line",
}
_SCALAR = re.compile(r"[^,\]}#\n]++")


class Span(NamedTuple):
    """A stretch of one line: `line` and `column` count from 1, `end_column` is exclusive."""

    line: int
    column: int
    end_column: int


class Place(NamedTuple):
    """Where a key stands, and its value up to the end of the line it begins on. An item of a list is its own key."""

    key: Span
    value: Span


class TomlError(ValueError):
    """Text that is not TOML, or is nested deeper than `MAX_DEPTH`; `line` is 0 where the place is not known."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.message, self.line, self.column = message, line, column


def parse(text: str) -> tuple[dict[str, Any], dict[KeyPath, Place]]:
    """Return the tree that tomllib reads from `text` and the place of every path in it.

    Raises `TomlError`.
    """
    text = text.replace("\r\n", "\n")
    places = index(text)
    try:
        return tomllib.loads(text), places
    except ValueError as error:
        raise _located(error, text) from None


def index(text: str) -> dict[KeyPath, Place]:
    """Return the place of every key and list item of a TOML text, by path: table keys as str, list positions as int.

    The text is taken to be valid; of an invalid one only the beginning is indexed. Raises `TomlError` where it is
    nested deeper than `MAX_DEPTH`.
    """
    scanner = _Scanner(text.replace("\r\n", "\n"))
    with suppress(_NotTomlError):
        scanner.document()
    return scanner.places


def _located(error: ValueError, text: str) -> TomlError:
    """Return tomllib's error with the place that its message ends with as numbers."""
    match = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", str(error), re.DOTALL)
    if match is None:
        return TomlError(str(error))
    message, line, column = match.groups()
    message = _CLEARER.get(message, message)
    if line is None:
        lines = text.rstrip("\n").split("\n")
        return TomlError(message, len(lines), len(lines[-1]) + 1)
    return TomlError(message, int(line), int(column))


class _NotTomlError(Exception):
    """The scanner cannot go on; tomllib will say why."""


class _Scanner:
    """Walks through a text once, from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.places: dict[KeyPath, Place] = {}
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._list_lengths: dict[KeyPath, int] = {}  # arrays of tables

    def document(self) -> None:
        table: KeyPath = ()
        while True:
            self._skip(_BETWEEN)
            if self.at >= len(self.text):
                return
            if self.text.startswith("[", self.at):
                table = self._header()
            else:
                self._assignment(table)

    def _header(self) -> KeyPath:
        is_item = self.text.startswith("[[", self.at)
        self.at += 2 if is_item else 1
        parts = self._key()
        self._expect("]]" if is_item else "]")
        path: KeyPath = ()
        for name, span in parts[:-1]:
            path = self._enter((*path, name))
            self._note(path, Place(span, span))
        name, span = parts[-1]
        place = Place(span, span)
        path = (*path, name)
        if not is_item:
            path = self._enter(path)
            self._note(path, place, overwrite=True)
            return path
        self._note(path, place)
        position = self._list_lengths.get(path, 0)
        self._list_lengths[path] = position + 1
        self._note((*path, position), place)
        return (*path, position)

    def _enter(self, path: KeyPath) -> KeyPath:
        """Return the path of a table that a header passes through: of an array of tables its latest item."""
        return (*path, self._list_lengths[path] - 1) if path in self._list_lengths else path

    def _assignment(self, table: KeyPath) -> None:
        *parents, (name, key) = self._key()
        for parent, span in parents:
            table = (*table, parent)
            self._note(table, Place(span, span))
        self._expect("=")
        self._skip(_BLANK)
        self._value((*table, name), key)

    def _value(self, path: KeyPath, key: Span | None) -> None:
        """Note the value that begins here and go behind it; an item of a list is its own key."""
        start = self.at
        opening = self.text[start : start + 1]
        self._note(path, Place(Span(0, 0, 0), Span(0, 0, 0)))  # holds the place before those of the parts
        if opening == "[":
            self._array(path)
        elif opening == "{":
            self._inline_table(path)
        else:
            self._skip(_STRING if opening in ('"', "'") else _SCALAR, required=True)
        end = start + len(self.text[start : self.at].rstrip())
        span = self._span(start, end)
        self.places[path] = Place(key or span, span)

    def _array(self, path: KeyPath) -> None:
        self.at += 1
        position = 0
        while not self._closes("]"):
            self._value((*path, position), None)
            position += 1

    def _inline_table(self, path: KeyPath) -> None:
        self.at += 1
        while not self._closes("}"):
            self._assignment(path)

    def _closes(self, bracket: str) -> bool:
        self._skip(_BETWEEN)
        if not self.text.startswith(bracket, self.at):
            return False
        self.at += 1
        return True

    def _key(self) -> list[tuple[str, Span]]:
        """Read a dotted key and the blanks around it."""
        parts = []
        while True:
            self._skip(_BLANK)
            start = self.at
            quote = self.text[start : start + 1]
            self._skip({'"': _BASIC, "'": _LITERAL}.get(quote, _BARE), required=True)
            name = self.text[start : self.at]
            parts.append((_unquoted(name) if quote in ('"', "'") else name, self._span(start, self.at)))
            self._refuse_depth(len(parts))
            self._skip(_BLANK)
            if not self.text.startswith(".", self.at):
                return parts
            self.at += 1

    def _note(self, path: KeyPath, place: Place, overwrite: bool = False) -> None:
        self._refuse_depth(len(path))
        if overwrite or path not in self.places:
            self.places[path] = place

    def _refuse_depth(self, depth: int) -> None:
        if depth > MAX_DEPTH:
            line, column, _ = self._span(self.at, self.at)
            raise TomlError(f"nested more than {MAX_DEPTH} levels deep", line, column)

    def _skip(self, pattern: re.Pattern[str], required: bool = False) -> None:
        match = pattern.match(self.text, self.at)
        if match is not None:
            self.at = match.end()
        elif required:
            raise _NotTomlError

    def _expect(self, symbol: str) -> None:
        if not self.text.startswith(symbol, self.at):
            raise _NotTomlError
        self.at += len(symbol)

    def _span(self, start: int, end: int) -> Span:
        line = bisect_right(self._line_starts, start)
        line_start = self._line_starts[line - 1]
        line_end = self._line_starts[line] - 1 if line < len(self._line_starts) else len(self.text)
        return Span(line, start - line_start + 1, min(end, line_end) - line_start + 1)


def _unquoted(token: str) -> str:
    try:
        name: str = tomllib.loads(f"name = {token}")["name"]
    except tomllib.TOMLDecodeError:
        raise _NotTomlError from None
    return name
