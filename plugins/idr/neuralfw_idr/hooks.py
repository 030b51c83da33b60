"""What the plugin takes part in: `data convert` of the models that the authors of IDR released. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from neuralfw.hooks import hook

_PLACES = ("", "checkpoints/", "*/checkpoints/")


@hook
def neuralfw_convert(source: Path, target: Path, photographs: Path | None) -> list[str] | None:
    file = model_file(source)
    if file is None:
        return None
    from .released import convert

    return convert(file, target, photographs)


def model_file(source: Path) -> Path | None:
    """Return the file of a model: `source` itself, or the newest of an experiment's folder; or None."""
    if source.is_file():
        return source if source.suffix == ".pth" else None
    return max(
        (file for place in _PLACES for file in source.glob(f"{place}ModelParameters/*.pth")), key=_age, default=None
    )


def _age(file: Path) -> float:
    return float(file.stem) if file.stem.isdigit() else float("inf")
