"""Nearest valid names for a misspelt one."""

from __future__ import annotations

from collections.abc import Iterable

_PREFIX_LENGTH = 3  # a shared beginning counts as near from this many letters
_PREFIX_SCORE = 1.5  # it ranks after one slip of the finger, before two


def nearest(name: str, options: Iterable[str], n: int = 3) -> list[str]:
    """Return up to `n` of the `options` that `name` may have been meant for, the likeliest first.

    Near is at most one edit (insertion, deletion, substitution, swap of neighbours) for every three letters, at least
    one, or one name beginning with the other. Case and the choice of `-` or `_` count for nothing.
    """
    wanted = _fold(name)
    ranked = []
    for option in dict.fromkeys(options):
        candidate = _fold(option)
        score = _score(wanted, candidate)
        if score is not None:
            ranked.append((score, *_tie_break(wanted, candidate), option))
    return [entry[-1] for entry in sorted(ranked)[:n]]


def _fold(name: str) -> str:
    return name.lower().replace("-", "_")


def _score(name: str, option: str) -> float | None:
    limit = max(1, len(name) // 3)
    distance = _edit_distance(name, option, limit)
    near = distance <= limit and distance < max(len(name), len(option), 1)
    begins = min(len(name), len(option)) >= _PREFIX_LENGTH and (name.startswith(option) or option.startswith(name))
    if begins:
        return min(float(distance), _PREFIX_SCORE)
    return float(distance) if near or name == option else None


def _tie_break(name: str, option: str) -> tuple[bool, bool, int]:
    """Among equally near names: swapped letters, same first letter, similar length."""
    return (
        sorted(name) != sorted(option),
        name[:1] != option[:1],
        abs(len(name) - len(option)),
    )


def _edit_distance(a: str, b: str, limit: int) -> int:
    """Damerau-Levenshtein distance (optimal string alignment); anything above `limit` is returned as `limit + 1`."""
    if abs(len(a) - len(b)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        above, row = row, [i]
        for j, other in enumerate(b, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
        before = above
    return row[-1]
