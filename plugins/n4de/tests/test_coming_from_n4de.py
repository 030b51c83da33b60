"""Every row of docs/coming_from/n4de.md does here what it says, and every configuration there is on the page."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from neuralfw.recipe.model import dump
from neuralfw.session import check
from neuralfw.testing.pages import ComingFrom, value_at

ROOT = Path(__file__).resolve().parents[3]
FILE = ROOT / "docs" / "coming_from" / "n4de.md"
PAGE = ComingFrom(FILE)
KEYS = ComingFrom(FILE, "Keys of the configuration").settings
RUNS = [command for command in PAGE.commands if " run " in command]
CONFIGS = [
    "deformable_breaking_sphere", "deformable_bunny", "deformable_chair", "deformable_statue", "fit_to_single_bracelet",
    "fit_to_static_multi_vsphere", "multi_object", "smpl_1", "smpl_2", "smpl_3", "static_screaming_face",
    "static_textured_bunny", "static_textured_bunny_multiframe",
]  # fmt: skip
PROGRAMS = ["sphere_init.py", "splat_init.py", "main_animated.py", "tensorboard", "conda"]
NETWORK = re.findall(r"^`NETWORK` stands for `(.*)`\.$", PAGE.text, re.MULTILINE)[0]


@pytest.mark.parametrize("name", [*(f"{config}.yaml" for config in CONFIGS), *PROGRAMS])
def test_every_configuration_and_program_is_on_the_page(name: str) -> None:
    assert name in PAGE.text


@pytest.mark.parametrize("command", RUNS)
def test_a_configuration_is_a_recipe_that_takes_its_settings(command: str) -> None:
    moving = "n4de" in command
    data = ROOT / "recipes/data" / ("spot_moving" if moving else "spot")
    words = shlex.split(command.replace("NETWORK", NETWORK).replace("DATA", str(data)))
    overrides = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    recipe = dump(check(words[2], overrides).recipe)
    for override in overrides:
        path, _, text = override.partition("=")
        if not path.startswith(("data", "fields")):
            assert str(value_at(recipe, path)) == text or float(value_at(recipe, path)) == float(text)


def test_a_key_is_taken_and_is_that_of_the_release() -> None:
    recipe = dump(check("n4de_color_release").recipe)
    overrides = [shlex.split(here)[1] for here in KEYS.values()]
    changed = dump(check("n4de_color_release", overrides).recipe)
    for override in overrides:
        path, _, text = override.partition("=")
        assert float(value_at(changed, path)) == float(value_at(recipe, path)) == float(text), path
