"""A corpus of broken recipes, each with the message that its user sees, to the letter.

The message of NNN_what.toml is NNN_what.txt; lines `# --set key=value` at the top of a recipe are its overrides.
`NEURALFW_WRITE_GOLDEN=1` writes the messages anew: read each as a user would before committing it.
"""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from neuralfw import registry
from neuralfw.errors import UserError

BROKEN = Path(__file__).parent / "broken"
RECIPES = sorted(BROKEN.glob("[0-9]*.toml"))


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_catalogue", lambda: {"learned_poses": "neuralfw-poses"})
    monkeypatch.chdir(BROKEN)


def overrides(path: Path) -> list[str]:
    lines = path.read_bytes().splitlines()
    return [line.decode().removeprefix("# --set ") for line in lines if line.startswith(b"# --set ")]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_message(check: Any, path: Path) -> None:
    with pytest.raises(UserError) as caught:
        check(path, *overrides(path))
    message = str(caught.value) + "\n"
    golden = path.with_suffix(".txt")
    if os.environ.get("NEURALFW_WRITE_GOLDEN"):
        golden.write_text(message, encoding="utf-8")
    assert message == golden.read_text(encoding="utf-8")


def test_the_recipe_that_they_are_variants_of_is_whole(check: Any) -> None:
    assert check(BROKEN / "whole.toml").plan.warnings == []


def test_no_message_speaks_of_pydantic_or_python() -> None:
    jargon = re.compile(r"pydantic|[Ii]nput should|\b(NoneType|Traceback|ValidationError|dict|str|int|tuple|union)\b")
    for golden in BROKEN.glob("*.txt"):
        assert not jargon.search(golden.read_text(encoding="utf-8")), golden.name


def test_every_message_belongs_to_a_recipe() -> None:
    assert len(RECIPES) >= 60
    assert {path.stem for path in RECIPES} == {path.stem for path in BROKEN.glob("*.txt")}
