"""Writes a recipe as TOML that a person reads with pleasure; tomllib reads the same tree back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, time
from pathlib import PurePath
from typing import Any

_WIDTH = 100
_HEADED_LEVELS = 2  # tables down to [fields.sdf] get a header of their own, deeper ones only where they are wide

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPED = re.compile(r'[\x00-\x1f\x7f"\\]')
_SHORT_ESCAPES = {"\b": r"\b", "\t": r"\t", "\n": r"\n", "\f": r"\f", "\r": r"\r", '"': r"\"", "\\": r"\\"}


def dumps(tree: Mapping[str, Any]) -> str:
    """Return `tree` as TOML text: what is None is left out, floats come back exactly, paths become text.

    Raises `TypeError` for a value that TOML has no form for, None within a list among them.
    """
    return "\n".join(_table(tree, ())).lstrip("\n") + "\n"


def _table(tree: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """Yield the lines of a table: its own values first, then the tables below it under their headers."""
    inline, below = _split(tree, len(path) + 1)
    for key, value in inline.items():
        yield from _assignment(key, value)
    for key, value in below.items():
        inner = (*path, key)
        name = ".".join(map(_key, inner))
        if isinstance(value, Mapping):
            if not value or _split(value, len(inner) + 1)[0]:
                yield from ("", f"[{name}]")
            yield from _table(value, inner)
            continue
        for item in value:
            yield from ("", f"[[{name}]]")
            yield from _table(item, inner)


def _split(tree: Mapping[str, Any], level: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what is written on lines of its own and what is under headers.

    The tables of one table are all written in the same way, which keeps their order.
    """
    present = {key: value for key, value in tree.items() if value is not None}
    tables = {key: value for key, value in present.items() if isinstance(value, Mapping)}
    is_wide = any(len(_inline_assignment(key, value)) > _WIDTH for key, value in tables.items())
    below = dict(tables) if level <= _HEADED_LEVELS or is_wide else {}
    for key, value in present.items():
        if _is_list_of_tables(value) and (level == 1 or any(len(inline(item)) > _WIDTH for item in value)):
            below[key] = value
    return {key: value for key, value in present.items() if key not in below}, below


def _is_list_of_tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _assignment(key: str, value: Any) -> Iterator[str]:
    line = _inline_assignment(key, value)
    if len(line) <= _WIDTH or not isinstance(value, list | tuple):
        yield line
        return
    yield f"{_key(key)} = ["
    for item in value:
        yield f"  {inline(item)},"
    yield "]"


def _inline_assignment(key: str, value: Any) -> str:
    return f"{_key(key)} = {inline(value)}"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _string(name)


def inline(value: Any) -> str:
    """Return a value as TOML text on one line. Raises `TypeError` where TOML has no form for it."""
    match value:
        case bool():
            return str(value).lower()
        case int():
            return int.__repr__(value)
        case float():
            return float.__repr__(value)
        case str() | PurePath():
            return _string(str(value))
        case date() | time():
            return value.isoformat()
        case Mapping():
            items = [_inline_assignment(key, child) for key, child in value.items() if child is not None]
            return "{ " + ", ".join(items) + " }" if items else "{}"
        case list() | tuple():
            return "[" + ", ".join(map(inline, value)) + "]"
    raise TypeError(f"TOML has no form for {value!r} ({type(value).__name__})")


def _string(text: str) -> str:
    return '"' + _ESCAPED.sub(lambda match: _SHORT_ESCAPES.get(match[0], f"\\u{ord(match[0]):04x}"), text) + '"'
