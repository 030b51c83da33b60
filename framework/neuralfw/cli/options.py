"""Arguments and options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..errors import UserError

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
Reference = Annotated[
    Path | None,
    typer.Option(
        "--reference",
        metavar="FILE",
        help="Mesh or cloud taken as the truth, or a folder of numbered meshes; "
        "default: the recipe's, or what the photographs were made of.",
    ),
]
Host = Annotated[
    str, typer.Option("--host", metavar="ADDRESS", help="Where a viewer listens; 0.0.0.0 lets other machines in.")
]
Port = Annotated[
    int, typer.Option("--port", min=1, max=65535, help="Port of a viewer; the next free one where it is taken.")
]
Live = Annotated[bool, typer.Option("--view", help="Show the run in a browser while it trains.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Shape = Annotated[str | None, typer.Option("--shape", metavar="NAME", help="One shape, where the run learnt several.")]


def times_of(text: str) -> list[float]:
    """Return the times of "0,0.5,1"; none of an empty text.

    Raises:
        UserError: something else, or a time outside of [0, 1].
    """
    try:
        times = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise UserError(f"--times {text}: expected numbers in [0, 1] with commas between, such as 0,0.5,1") from None
    if not all(0.0 <= t <= 1.0 for t in times):
        raise UserError(f"--times {text}: a time lies in [0, 1]")
    return times
