"""JSON that every reader takes. It has no numbers that are not finite: these are written as strings.

`"NaN"`, `"Infinity"` and `"-Infinity"` are what Python's `float` and JavaScript's `Number` read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any


def dumps(value: Any, *, indent: int | None = None, default: Callable[[Any], Any] | None = None) -> str:
    """Return a value as JSON; `default` stands in for what JSON cannot hold, as in `json.dumps`."""
    return json.dumps(_strict(value), indent=indent, allow_nan=False, default=default)


def _strict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
