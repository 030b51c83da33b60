"""Arguments and options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Recipe = Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe file, or the name of a shipped recipe.")]
RunDirectory = Annotated[Path, typer.Argument(metavar="RUN", help="The directory of a run.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one key of the recipe; anywhere in the line, any number."),
]
Excluded = Annotated[list[str] | None, typer.Option("--no-plugin", metavar="NAME", help="Leave a plugin out.")]
Device = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option("--device", help="Where to compute; auto: CUDA where it works.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Shape = Annotated[str | None, typer.Option("--shape", metavar="NAME", help="One shape, where the run learnt several.")]
