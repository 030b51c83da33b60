"""Pages that show the commands of another program beside ours, so that a test can run each row."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from ..cli import app


class ComingFrom:
    """A page of docs/coming_from, whose tables hold what is there in the first column and what is here in the last.

    Args:
        page: its file.
        heading: of the one section that counts; default: all of the page.

    Attributes:
        text: of what counts.
        here: the code in a row's last cell, by its first cell.
        settings: those rows that are a `--set`.
        commands: the command lines of ours, each once, in the page's order.
    """

    def __init__(self, page: Path, heading: str = "") -> None:
        self.text = page.read_text(encoding="utf-8")
        if heading:
            self.text = self.text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
        lines = [line for line in self.text.splitlines() if line.startswith("| ") and not line.startswith("| there")]
        rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
        self.here = {row[0]: " ".join(re.findall(r"`([^`]*)`", row[-1])) for row in rows}
        self.settings = {there: here for there, here in self.here.items() if here.startswith("--set")}
        self.commands = [*dict.fromkeys(here for here in self.here.values() if here.startswith("neuralfw"))]

    def mentions(self, name: str) -> bool:
        """Say whether a flag, key or program stands on the page, as a word of its own."""
        return re.search(rf"[`,.\s]{re.escape(name)}[`,\s]", self.text) is not None


def value_at(recipe: Any, path: str) -> Any:
    """Return the value at a dotted path of a resolved recipe as plain tables, list entries by their name."""
    for key in path.split("."):
        recipe = next(e for e in recipe if e.get("name") == key) if isinstance(recipe, list) else recipe[key]
    return recipe


def call(arguments: Sequence[str]) -> str:
    """Return what `neuralfw` prints when it is called with these arguments.

    Raises:
        AssertionError: it fails.
    """
    result = CliRunner().invoke(app, [*arguments])
    assert result.exit_code == 0, result.output
    return result.output
