"""The mixing matrix: every combination around small recipes, tried; what is done is not done again."""

from __future__ import annotations

import json
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from .combinations import AXES, Combination, Mixing, combinations

WORKS, REFUSED, FAILS = "works", "refused", "fails"


@dataclass(frozen=True)
class Row:
    """A combination and what came of it.

    Attributes:
        recipe: name of the small recipe.
        parts: full name of the component on each axis: sdf, encoder, renderer, update; "" where there is none.
        verdict: "works", "refused" by the wiring, or "fails".
        reason: why it does not work.
        seconds: of the trial; 0 for what was refused.
    """

    recipe: str
    parts: tuple[str, ...]
    verdict: str
    reason: str = ""
    seconds: float = 0.0


def run_matrix(
    recipes: Sequence[str],
    out: Path,
    *,
    sample: int | None = None,
    seed: int = 0,
    tell: Callable[[int, int, str], None] = lambda done, of, what: None,
) -> list[Row]:
    """Try every combination around recipes that the wiring accepts, or a sample of them; return all rows.

    Args:
        recipes: files of small recipes.
        out: JSON lines, one a row; those that it holds already are not tried again.
        sample: how many of those that the wiring accepts to try; it wires no more than that takes. None for all.
        seed: of the sample.
        tell: called before each trial with how many are done, of how many, and which comes.
    """
    from .trial import trial

    known = {(row.recipe, row.parts): row for row in read_rows(out)}
    found = [c for recipe in recipes for c in combinations(recipe)] if sample is None else _some(recipes, sample, seed)
    rows = [Row(_name(c), c.parts, REFUSED, c.reason) for c in found if c.reason]
    accepted = [c for c in found if not c.reason]
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("a", encoding="utf-8") as file:
        for index, combination in enumerate(accepted):
            tell(index, len(accepted), combination.key)
            row = known.get((_name(combination), combination.parts))
            if row is None:
                with tempfile.TemporaryDirectory() as folder:
                    verdict = trial(combination.recipe, combination.overrides, Path(folder) / "run")
                said = WORKS if verdict.works else FAILS
                row = Row(_name(combination), combination.parts, said, verdict.reason, round(verdict.seconds, 1))
                file.write(json.dumps(asdict(row)) + "\n")
                file.flush()
            rows.append(row)
    return rows


def _some(recipes: Sequence[str], count: int, seed: int) -> list[Combination]:
    """Return combinations in an order drawn by the seed, as far as it takes for `count` that the wiring accepts."""
    drawn = [(mixing, parts) for mixing in map(Mixing, recipes) for parts in mixing.products]
    random.Random(seed).shuffle(drawn)
    found: list[Combination] = []
    for mixing, parts in drawn:
        found.append(mixing.wired(parts))
        if sum(not c.reason for c in found) == count:
            break
    return found


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a file of JSON lines; none where there is no file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [Row(**{**raw, "parts": tuple(raw["parts"])}) for raw in map(json.loads, lines)]


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield Markdown: for each recipe what works, by field and encoder down and by renderer and update across."""
    for recipe in dict.fromkeys(row.recipe for row in rows):
        here = [row for row in rows if row.recipe == recipe]
        tried = [row for row in here if row.verdict != REFUSED]
        across = [*dict.fromkeys(row.parts[2:] for row in tried)]
        cells = {(row.parts[:2], row.parts[2:]): row.verdict for row in tried}
        counts = Counter(row.verdict for row in here)
        yield f"**{recipe}**: {', '.join(f'{counts[v]} {v}' for v in (WORKS, REFUSED, FAILS))}"
        yield ""
        yield f"| {AXES[0]} | {AXES[1]} | {' | '.join(' + '.join(map(_short, c)) for c in across)} |"
        yield "|---" * (2 + len(across)) + "|"
        for down in dict.fromkeys(row.parts[:2] for row in tried):
            verdicts = " | ".join(cells.get((down, column), "refused") for column in across)
            yield f"| {_short(down[0])} | {_short(down[1])} | {verdicts} |"
        yield ""


def _short(name: str) -> str:
    return f"`{name.rpartition('/')[2]}`" if name else ""


def _name(combination: Combination) -> str:
    return Path(combination.recipe).stem
