"""The recipes that come with neuralfw."""

from __future__ import annotations

from pathlib import Path

from .registry import recipes_folder


def find_recipe(name: str) -> Path | None:
    """Return the file of a shipped recipe, by its name with or without ".toml"."""
    file = recipes_folder() / f"{name.removesuffix('.toml')}.toml"
    return file if file.is_file() and file.parent.resolve().is_relative_to(recipes_folder().resolve()) else None


def shipped_recipes() -> list[str]:
    """Return the names of the shipped recipes."""
    folder = recipes_folder()
    files = [*folder.glob("*.toml"), *folder.glob("mixes/*.toml")]
    return sorted(str(f.relative_to(folder)).removesuffix(".toml") for f in files if f.name != "plugins.toml")
