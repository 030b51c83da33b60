"""Nearest names for misspelt ones."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralfw.suggest import nearest

VOCABULARIES = {
    "stage": "name steps train passes losses callbacks update cache time before remove fresh",
    "pass": "data renderer every offset repeat fields detach views rays items points batch accumulate time",
    "loss": "type on to from until name weight reduction delta lambda alpha target",
    "field": "type width layers skip activation weight_norm radius features encoder time latent",
    "schedule": "type start end factor at every to floor until clock warmup per",
    "types": "mlp_sdf mlp_velocity mlp_color camera_poses latents identity frequency query transport advect pull "
    "sphere_trace hash_grid neus volsdf splat mesh level_set mesh_sdf eikonal l1 l2 dssim mask_bce code_norm",
}
LETTERS = "aeinrst_"


def slips(word: str) -> Iterator[str]:
    """Yield every insertion, deletion, substitution and swap of one letter."""
    for i in range(len(word) + 1):
        yield from (word[:i] + letter + word[i:] for letter in LETTERS)
    for i in range(len(word)):
        yield word[:i] + word[i + 1 :]
        yield from (word[:i] + letter + word[i + 1 :] for letter in LETTERS)
        yield word[:i] + word[i + 1 : i + 2] + word[i] + word[i + 2 :]


@pytest.mark.parametrize("vocabulary", VOCABULARIES.values(), ids=VOCABULARIES)
def test_a_slip_of_one_letter_finds_the_word_first(vocabulary: str) -> None:
    words = vocabulary.split()
    cases = [(slip, word) for word in words for slip in set(slips(word)) - {"", *words}]
    found = sum(nearest(slip, words)[:1] == [word] for slip, word in cases)
    assert found / len(cases) >= 0.99


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("tihn", ["this", "thin", "than"], ["thin"]),  # a swap costs one
        ("freq", ["free", "frequency"], ["free", "frequency"]),
        ("frequencies", ["frequency"], ["frequency"]),
        ("Hash-Grid", ["hash_grid", "grid"], ["hash_grid"]),
        ("l3", ["l1", "l2", "dssim"], ["l1", "l2"]),
        ("x", ["y"], []),
        ("", ["a"], []),
        ("sphere_tracing", ["sphere_trace", "splat"], ["sphere_trace"]),
        ("radius", ["width", "layers"], []),
        ("wdth", [], []),
    ],
)
def test_ranking(name: str, options: list[str], expected: list[str]) -> None:
    assert nearest(name, options) == expected


def test_at_most_n_and_each_once() -> None:
    assert nearest("l3", ["l1", "l2", "l1", "l4", "l5"], n=2) == ["l1", "l2"]


def distance(a: str, b: str) -> int:
    """Optimal string alignment by its recurrence."""
    if not a or not b:
        return len(a) + len(b)
    best = min(distance(a[1:], b) + 1, distance(a, b[1:]) + 1, distance(a[1:], b[1:]) + (a[0] != b[0]))
    if a[:2] == b[1::-1] and len(a) > 1 and len(b) > 1:
        best = min(best, distance(a[2:], b[2:]) + 1)
    return best


@given(st.text("abc", min_size=1, max_size=6), st.text("abc", min_size=1, max_size=6))
def test_near_is_one_edit_in_three_letters(name: str, option: str) -> None:
    edits = distance(name, option)
    near = edits <= max(1, len(name) // 3) and edits < max(len(name), len(option))
    begins = min(len(name), len(option)) >= 3 and (name.startswith(option) or option.startswith(name))
    assert nearest(name, [option]) == ([option] if near or begins else [])
