"""Every command that a page shows is true: verbs, options, recipes, keys, scripts and packages that it names exist."""

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from neuralfw.cli import app, plugins
from neuralfw.session import check

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("docs", "recipes", "plugins", "examples")
IN_FOLDERS = sorted(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *IN_FOLDERS]
FENCED = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`(?!`)([^`]+)`(?!`)")
VERBS: Any = typer.main.get_command(app)
OF_THE_READER = re.compile("cow|OUT/|RECIPE|NAME")
"""How recipes are called that the reader has or is to write."""


def shown(page: Path) -> Iterator[list[str]]:
    """Yield the words of each command of a page: a line of a block for a shell, or code in a sentence."""
    text = page.read_text(encoding="utf-8")
    blocks = (match[2] for match in FENCED.finditer(text) if match[1] in ("bash", "console", "sh"))
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    if page.parent.name != "coming_from":  # the tables there have tests of their own, which run each row
        lines += [" ".join(span.split()) for span in INLINE.findall(FENCED.sub("", text))]
    for line in lines:
        words = shlex.split(line, comments=True) if line.startswith(tuple(f"{name} " for name in CHECKS)) else []
        if len(words) > 1:
            yield words[: words.index(">")] if ">" in words else words


# -- what the words of each program must be ----------------------------------------------------------------------------


def neuralfw(verb: str, *arguments: str) -> None:
    command: Any = {**VERBS.commands, **plugins.commands()}[verb]
    while arguments and hasattr(command, "commands"):
        command, arguments = command.commands[arguments[0]], arguments[1:]
    if not arguments:  # a sentence that names the verb
        return
    given = command.make_context(verb, [*arguments]).params
    if verb in ("run", "check") and not OF_THE_READER.match(given["recipe"]):
        foreign = re.compile("gaussian_fourier|…")
        check(given["recipe"], [text for text in given["overrides"] or () if not foreign.search(text)])


def script(file: str, *arguments: str) -> None:
    if file.startswith("-"):
        return
    text = (ROOT / file).read_text(encoding="utf-8")
    assert [word for word in arguments if word.startswith("--") and f'"{word.partition("=")[0]}"' not in text] == []


def target(*names: str) -> None:
    known = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {name for name in names if name not in ("&&", "source", ".venv/bin/activate")} <= {*known}


def package(verb: str, *names: str) -> None:
    assert verb == "install"
    text = (ROOT / "pyproject.toml").read_text()
    for name, extra in re.findall(r"^(neuralfw[\w-]*)(?:\[(\w+)\])?$", "\n".join(names), re.MULTILINE):
        assert f'"{name}"' in text and (not extra or re.search(rf"^{extra} = ", text, re.MULTILINE))


CHECKS: dict[str, Callable[..., None]] = {"neuralfw": neuralfw, "python": script, "make": target, "pip": package}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_are_true(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_recipe.toml").write_text('extends = "igr.toml"\n')
    faults = []
    for program, *words in shown(page):
        try:
            CHECKS[program](*words)
        except Exception as error:
            faults.append(f"{shlex.join([program, *words])}: {error!r}")
    assert not faults, "\n".join(faults)
