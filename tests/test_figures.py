"""The list of figures: each can be run, and what measures another's runs takes over how they are made."""

from __future__ import annotations

import sys
from pathlib import Path

from neuralfw.shipped import find_recipe

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
import figures


def test_every_figure_of_the_list_can_be_run() -> None:
    for page, entries in figures.entries().items():
        assert (figures.ROOT / page).is_file()
        for figure in entries:
            assert find_recipe(figure["recipe"]) is not None and figure["measure"] in figures.MEASURES
            assert figure.get("from", figure["name"]).partition(":")[0] in figures.named()


def test_a_measure_of_anothers_runs_has_its_recipe_settings_and_seeds_and_a_key_of_its_own() -> None:
    named = {figure["name"]: figure for entries in figures.entries().values() for figure in entries}
    derived = [figure for figure in named.values() if "runs_of" in figure]
    assert derived
    for figure in derived:
        first = named[figure["runs_of"]]
        assert all(figure.get(key) == first.get(key) for key in ("recipe", "set", "seeds"))
        assert figures.key(figure) != figures.key(first)
