"""JSON files that strangers wrote: each value checked where it is taken, each fault named with its place."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from neuralfw.errors import UserError
from neuralfw.geometry.files import existing_file


def read_object(path: Path) -> dict[str, Any]:
    """Read a file that holds a JSON object.

    Raises:
        UserError: it is absent, or something else.
    """
    existing_file(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise UserError(f"{path}: a JSON object was expected, not a {type(document).__name__}.")
    return document


def list_of_objects(document: Mapping[str, Any], key: str, where: object) -> list[dict[str, Any]]:
    """Return the list of objects under a key, or raise a UserError."""
    found = document.get(key)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise UserError(f"{where}: {key!r} must be a list of objects.")
    return found


def text(document: Mapping[str, Any], key: str, where: object) -> str:
    """Return the text under a key, or raise a UserError."""
    found = document.get(key)
    if not isinstance(found, str) or not found or "\0" in found:
        raise UserError(f"{where}: {key!r} must be text, not {found!r:.60}.")
    return found


def number(document: Mapping[str, Any], key: str, where: object) -> float:
    """Return the finite number under a key, or raise a UserError."""
    found = document.get(key)
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise UserError(f"{where}: {key!r} must be a finite number, not {found!r:.60}.")
    return float(found)


def matrix(document: Mapping[str, Any], key: str, where: object) -> Float64[np.ndarray, "4 4"]:
    """Return the 4 x 4 matrix under a key, or raise a UserError; a last row that is left out is 0 0 0 1."""
    try:
        values = np.array(document.get(key), dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{where}: {key!r} must be a matrix of 4 x 4 numbers.") from error
    if values.size == 12 and values.ndim == 2:
        values = np.concatenate([values.reshape(3, 4), [[0.0, 0.0, 0.0, 1.0]]])
    if values.size != 16:
        raise UserError(f"{where}: {key!r} must be a matrix of 4 x 4 numbers, not {values.size}.")
    return values.reshape(4, 4)
