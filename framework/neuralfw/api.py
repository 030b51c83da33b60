"""Every verb as one call, for notebooks and scripts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import session
from .run import Run


def train(
    recipe: str | Path,
    overrides: Sequence[str] = (),
    *,
    out: str | Path | None = None,
    device: str = "auto",
    start_from: str | None = None,
    exclude: Sequence[str] = (),
    progress: bool = False,
) -> Run:
    """Train a recipe, export and evaluate as it says, and open the run.

    Args:
        recipe: a recipe file, or the name of a shipped one.
        overrides: "key=value" texts, as after `--set`.
        out: the run directory, absent or empty; default: a new one under runs/.
        device: "auto", "cpu" or "cuda".
        start_from: a run, or "run:field", whose fields and frame are taken over.
        exclude: plugins to leave out.
        progress: show a bar and what the data held, on stderr.

    Raises:
        UserError: anything that the user can mend; a RecipeError carries every fault of the recipe.
    """
    root = session.train(
        recipe,
        overrides,
        out=None if out is None else Path(out),
        device=device,
        start_from=start_from,
        exclude=exclude,
        **_shown(progress),
    )
    return Run(root)


def resume(run: str | Path, *, device: str = "auto", exclude: Sequence[str] = (), progress: bool = False) -> Run:
    """Go on with a run exactly where it stopped, and open it.

    Raises:
        UserError: the run or its checkpoint cannot be used.
    """
    root = session.resume(Path(run), device=device, exclude=exclude, **_shown(progress))
    return Run(root)


def open(run: str | Path, *, device: str = "cpu", which: str = "latest") -> Run:
    """Open a run directory: `.sdf(x)`, `.mesh()`, `.export()`, `.eval()`.

    Args:
        run: the directory.
        device: "auto", "cpu" or "cuda".
        which: the checkpoint: "latest", "best" or "step-…".

    Raises:
        UserError: it is not a run directory.
    """
    return Run(run, device=device, which=which)


def compare(runs: Sequence[str | Path], page: str | Path) -> Path:
    """Write a page that shows runs side by side, and return its file.

    Raises:
        UserError: fewer than two runs, or something that is none.
    """
    from .pages.compare import write_comparison

    return write_comparison([Run(run) for run in runs], Path(page))


def _shown(progress: bool) -> dict[str, Any]:
    if not progress:
        return {}
    from .cli.progress import Watcher

    watcher = Watcher()
    return {"say": watcher.say, "watchers": [watcher]}
