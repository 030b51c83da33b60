"""The pictures that tools/make_pictures.py makes: each of a recipe that is shipped, small, and shown on a page."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from neuralfw.session import check
from neuralfw.shipped import find_recipe

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
import make_pictures


def test_every_method_is_a_shipped_recipe_with_settings_that_it_takes() -> None:
    for name, method in make_pictures.METHODS.items():
        assert find_recipe(method.recipe) is not None, name
        check(method.recipe, method.settings)


def test_the_pictures_are_there_small_and_shown() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in (make_pictures.ROOT / "docs").rglob("*.md"))
    files = [f"{name}.gif" for name in make_pictures.METHODS] + [f"{name}.png" for name in make_pictures.SCREENSHOTS]
    for file in files:
        path = make_pictures.IMAGES / file
        assert path.stat().st_size < make_pictures.LIMIT and f"images/{file})" in pages
        with Image.open(path) as picture:
            assert file.endswith(".png") or picture.n_frames > 8
