"""A figure as every evaluation gives it: what JSON can hold."""

from typing import Any, Literal


def figure(value: float, unit: str, better: Literal["lower", "higher"], definition: str) -> dict[str, Any]:
    """The value with its unit, which way is better, and what was computed."""
    return {"value": float(value), "unit": unit, "better": better, "definition": definition}
