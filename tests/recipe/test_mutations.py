"""A slip of one letter in any key of any shipped recipe: the key that was meant is the first suggestion."""

import random
import string
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from neuralfw.recipe.faults import RecipeError
from neuralfw.recipe.positions import Span, index
from neuralfw.recipe.resolve import resolve
from neuralfw.recipe.source import load
from neuralfw.recipe.wiring import wire
from neuralfw.registry import Registry, discover, recipes_folder
from neuralfw.session import find_recipe

FILES = (path for path in recipes_folder().glob("**/*.toml") if path.parent.name != "matrix")
RECIPES = sorted(path for path in FILES if path.name != "plugins.toml")
SHARE = 0.95


@pytest.fixture(scope="module")
def registry() -> Registry:
    return discover()


class Slip(NamedTuple):
    """A recipe's text in which one key is misspelt."""

    recipe: Path
    line: int
    meant: str
    written: str
    text: str


def keys(text: str) -> Iterator[tuple[str, Span]]:
    """Yield every key of a recipe with its place, once."""
    seen = set()
    for path, place in index(text).items():
        if isinstance(path[-1], str) and place.key not in seen:
            seen.add(place.key)
            yield path[-1], place.key


def misspellings(word: str, chance: random.Random) -> Iterator[str]:
    """Yield each kind of slip once: a letter lost, doubled, added, replaced, and two swapped."""
    at = chance.randrange(len(word))
    letter = chance.choice(string.ascii_lowercase)
    yield word[:at] + word[at + 1 :]
    yield word[:at] + word[at] + word[at:]
    yield word[:at] + letter + word[at:]
    yield word[:at] + letter + word[at + 1 :]
    yield word[:at] + word[at : at + 2][::-1] + word[at + 2 :]


def slips(path: Path) -> Iterator[Slip]:
    text = path.read_text(encoding="utf-8")
    lines = text.split("\n")
    chance = random.Random(path.name)
    for word, span in keys(text):
        for wrong in misspellings(word, chance):
            line = lines[span.line - 1]
            changed = line[: span.column - 1] + wrong + line[span.end_column - 1 :]
            if wrong not in ("", word):
                whole = "\n".join([*lines[: span.line - 1], changed, *lines[span.line :]])
                yield Slip(path, span.line, word, wrong, whole)


def verdict(slip: Slip, file: Path, registry: Registry) -> bool | None:
    """Say whether the right name is suggested first, None if the slip makes another recipe without fault.

    What a recipe names itself (a pass, a field) may be misspelt where it is defined: then the misspelling is the name,
    and what refers to it is what to change.
    """
    file.write_text(slip.text.replace('"../', f'"{slip.recipe.parents[1]}/'), encoding="utf-8")
    try:
        source = load(file, find=find_recipe)
        recipe, _ = resolve(source, registry)
        wire(recipe, source, registry)
    except RecipeError as error:
        first = {fault.closest[0].rpartition(".")[2] for fault in error.faults if fault.closest}
        clash = any(fault.message.startswith("is not TOML: this key has a value already") for fault in error.faults)
        return None if clash else bool(first & {slip.meant, slip.written})
    return None


def judge(chosen: list[Slip], file: Path, registry: Registry) -> None:
    verdicts = {slip: verdict(slip, file, registry) for slip in chosen}
    wrong = [slip for slip, right in verdicts.items() if right is False]
    judged = sum(right is not None for right in verdicts.values())
    told = "\n".join(f"{s.recipe.name}:{s.line} {s.meant} written {s.written}" for s in wrong)
    assert judged > len(chosen) // 2
    assert len(wrong) <= (1 - SHARE) * judged, f"{len(wrong)} of {judged} slips:\n{told}"


def test_a_sample_of_slips(tmp_path: Path, registry: Registry) -> None:
    every = [slip for path in RECIPES for slip in slips(path)]
    judge(random.Random(0).sample(every, min(80, len(every))), tmp_path / "recipe.toml", registry)


@pytest.mark.slow
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_key(path: Path, tmp_path: Path, registry: Registry) -> None:
    judge(list(slips(path)), tmp_path / "recipe.toml", registry)
