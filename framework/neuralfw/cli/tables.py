"""Lines and JSON on stdout."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import typer

from ..strict_json import dumps


def write(lines: Iterable[str]) -> None:
    """Write lines to stdout."""
    typer.echo("\n".join(lines))


def write_json(value: Any) -> None:
    """Write a value as JSON to stdout."""
    typer.echo(dumps(value, indent=2, default=str))
