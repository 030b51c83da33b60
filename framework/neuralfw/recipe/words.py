"""What an option expects and what was found instead, in words."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, time
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ..schedules import Length, Schedule, Scheduled

_TYPES = {int: "a whole number", float: "a number", str: "text", bool: "true or false", Path: "a path", dict: "a table"}
_LONGEST_TEXT = 40


def expected(info: FieldInfo) -> str:
    """Say what an option takes: "a whole number, at least 1"."""
    return _phrase(Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation)


def choices(info: FieldInfo) -> tuple[str, ...]:
    """Return the texts from which an option chooses, none if it takes other values too."""
    members = [m for m in _members(info.annotation) if m is not NoneType]
    literals = [value for m in members if get_origin(m) is Literal for value in get_args(m)]
    only = all(get_origin(m) is Literal for m in members) and all(isinstance(value, str) for value in literals)
    return tuple(literals) if only else ()


def found(value: Any) -> str:
    """Say what sort of value was found."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case str():
            return f'the text "{value[:_LONGEST_TEXT]}{"…" if len(value) > _LONGEST_TEXT else ""}"'
        case list() | tuple():
            return f"a list of {len(value)}" if value else "an empty list"
        case dict() | BaseModel():
            return "a table"
        case date() | time():
            return "a date or time"
    return type(value).__name__


def listed(names: Iterable[object], last: str = "and") -> str:
    """Join names as prose: "a", "b" and "c"."""
    *others, final = [f'"{name}"' for name in names]
    return f"{', '.join(others)} {last} {final}" if others else final


def a(noun: str) -> str:
    """Put the indefinite article before a noun."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def types(annotation: Any) -> set[Any]:
    """Return the plain types among which an annotation chooses."""
    return {get_origin(member) or member for member in _members(annotation)}


def _members(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [member for part in get_args(annotation) for member in _members(part)]
    return [annotation]


def _phrase(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _annotated(arguments[0], arguments[1:])
    if origin in (Union, UnionType):
        parts = [_phrase(a) for a in arguments if a is not NoneType and not _is_schedule(a)]
        return " or ".join(dict.fromkeys(parts))
    if origin is Literal:
        values = ", ".join(f'"{a}"' if isinstance(a, str) else repr(a) for a in arguments)
        return values if len(arguments) == 1 else f"one of {values}"
    if origin in (tuple, list):
        return _list(arguments)
    return _TYPES.get(origin or annotation, "a table")


def _annotated(inner: Any, marks: tuple[Any, ...]) -> str:
    if get_args(Length)[1] in marks:
        return 'a number of steps, or text like "100 epochs"'
    phrase = "a number or a schedule" if any(isinstance(mark, Scheduled) for mark in marks) else _phrase(inner)
    return ", ".join([phrase, *(bound for mark in marks for bound in _bounds(mark))])


def _bounds(mark: Any) -> list[str]:
    sides = {"gt": "greater than", "ge": "at least", "lt": "less than", "le": "at most"}
    if not isinstance(mark, Gt | Ge | Lt | Le | Scheduled):
        return []
    limits = {side: getattr(mark, side, None) for side in sides}
    return [f"{words} {limits[side]:g}" for side, words in sides.items() if limits[side] is not None]


def _list(items: tuple[Any, ...]) -> str:
    kind = _phrase(items[0])
    plurals = {"a whole number": "whole numbers", "a number": "numbers", "text": "texts"}
    several = plurals.get(kind, f"items, each {kind}")
    return f"a list of {several}" if items[-1] is Ellipsis or len(items) == 1 else f"a list of {len(items)} {several}"


def _is_schedule(annotation: Any) -> bool:
    members = _members(annotation)
    return len(members) == 1 and isinstance(members[0], type) and issubclass(members[0], Schedule)
