"""A file of recipes, scenes and seeds, and the cells that they span. Imports no torch."""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from ..errors import UserError
from ..geometry.files import existing_file
from ..shipped import find_recipe, shipped_recipes
from ..suggest import nearest

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+$")]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RecipeRow(_Table):
    """[[recipes]]: a recipe with settings of its own."""

    recipe: str = Field(description="name of a shipped recipe, or a file, from the grid's folder on")
    name: Name = Field("", description="what it is called in the table; default: the recipe's name")
    set: tuple[str, ...] = Field((), description="key=value, as after --set")


class SceneRow(_Table):
    """[[scenes]]: data, and what a result is compared with."""

    name: Name
    set: tuple[str, ...] = Field((), description="key=value, as after --set; {here} is the grid's folder")
    reference: str | None = Field(None, description="truth, from the grid's folder on; default: what the run knows of")
    protocols: tuple[str, ...] = Field((), description="by which the run is judged; default: as at the end of a run")


class PublishedRow(_Table):
    """[[published]]: a figure from elsewhere, told beside."""

    scene: Name
    name: str = Field(description="of the method")
    figure: str = Field(description='protocol and figure, such as "neuralfw.chamfer"')
    value: float
    source: str = Field(description="where it is printed")


class Grid(_Table):
    """A file of recipes, scenes and seeds."""

    recipes: tuple[RecipeRow, ...] = Field(min_length=1)
    scenes: tuple[SceneRow, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    set: tuple[str, ...] = Field((), description="key=value of every run")
    figures: tuple[str, ...] = Field((), description='of the table, such as "neuralfw.chamfer"; default: all')
    published: tuple[PublishedRow, ...] = ()
    job: dict[str, Any] = Field(
        default_factory=dict,
        description="what a run is given, in submitit's words: timeout_min, cpus_per_task, mem_gb, …",
    )


@dataclass(frozen=True)
class Cell:
    """One run of a grid.

    Attributes:
        recipe: what the recipe is called in the table; `file` is the recipe.
        scene: what the scene is called; `seed` the run's seed.
        overrides: key=value, as after --set.
        reference: the truth, or None for what the run knows of.
        protocols: by which it is judged; none for those of the end of a run.
    """

    recipe: str
    file: str
    scene: str
    seed: int
    overrides: tuple[str, ...]
    reference: str | None
    protocols: tuple[str, ...]

    @property
    def name(self) -> str:
        """Recipe, scene and seed."""
        return f"{self.recipe}/{self.scene}/seed-{self.seed}"

    @property
    def key(self) -> str:
        """Digest of all that decides its result: the cell and its recipe's text."""
        text = json.dumps(asdict(self), sort_keys=True) + Path(self.file).read_text(encoding="utf-8")
        return hashlib.sha256(text.encode()).hexdigest()


def read_grid(path: Path) -> Grid:
    """Read a file of recipes, scenes and seeds.

    Raises:
        UserError: it is absent, no TOML, or has keys that mean nothing.
    """
    try:
        grid = Grid.model_validate(tomllib.loads(existing_file(path).read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no TOML file: {error}") from error
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UserError(f"{path}: {'; '.join(faults)}") from error
    names = {scene.name for scene in grid.scenes}
    if wrong := [row.scene for row in grid.published if row.scene not in names]:
        raise UserError(f"{path}: published: there is no scene {wrong[0]!r}; there are {', '.join(sorted(names))}")
    return grid


def cells_of(grid: Grid, folder: Path) -> list[Cell]:
    """Return the cells of a grid whose file lies in a folder, the seeds of a recipe and scene one after another.

    Raises:
        UserError: a recipe is not there, or two cells have one name.
    """
    cells = []
    for row, scene, seed in product(grid.recipes, grid.scenes, grid.seeds):
        file = _recipe(row.recipe, folder)
        settings = [text.replace("{here}", str(folder)) for text in (*grid.set, *row.set, *scene.set)]
        reference = None if scene.reference is None else str((folder / scene.reference).resolve())
        name = row.name or file.stem
        cells.append(Cell(name, str(file), scene.name, seed, (*settings, f"seed={seed}"), reference, scene.protocols))
    if len({cell.name for cell in cells}) < len(cells):
        raise UserError("two recipes, scenes or seeds of the grid have one name: give the recipes names of their own")
    return cells


def _recipe(name: str, folder: Path) -> Path:
    file = folder / name if (folder / name).is_file() else find_recipe(name)
    if file is None:
        close = nearest(name, shipped_recipes())
        hint = f"; closest: {', '.join(close)}" if close else ""
        raise UserError(f"no recipe {name}: neither a file in {folder} nor shipped with neuralfw{hint}")
    return file.resolve()
