"""Runs the cells of a grid side by side, by submitit (MIT): processes of this machine and SLURM have one interface."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from ..errors import UserError
from ..optional import optional
from .cell import DONE, FAILED, known, result_of, settle
from .grid import Cell

Cluster = Literal["local", "slurm"]

MINUTES = 24 * 60
"""Time that a run is given where the grid's [job] says nothing."""

PAUSE = 0.5
"""Seconds between looks at the runs on their way."""

LINES = 5
"""Last lines of a process's errors that are told where it left no result."""


def spread(
    cells: Sequence[Cell], out: Path, *, at_once: int = 1, cluster: Cluster = "local", device: str = "auto",
    job: dict[str, Any] | None = None, tell: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Run cells that are not done, so many at once, each in a process of its own; return the results in their order.

    A cell that fails, whatever kills it, stops no other; it is tried again by the next call. If this process is
    interrupted, the runs on their way save their state and end, and the next call goes on with them.

    Args:
        cells: of a grid.
        out: folder of runs and results; what it holds is gone on with.
        at_once: how many runs are on their way at a time.
        cluster: "local" for processes of this machine, "slurm" for jobs.
        device: as of `neuralfw run`.
        job: what each is given, in submitit's words.
        tell: receives a line for each cell that ends.

    Raises:
        UserError: submitit is not installed, or does not know the cluster or a word of `job`.
    """
    executor = _executor(out, cluster, job or {})
    waiting = [cell for cell in cells if (known(cell, out) or {}).get("status") != DONE]
    tell(f"{len(cells) - len(waiting)} of {len(cells)} runs are done")
    running: dict[int, Any] = {}
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                cell = waiting.pop(0)
                result_of(cell, out).unlink(missing_ok=True)
                running[cells.index(cell)] = executor.submit(settle, cell, str(out), device)
            for index in [index for index, process in running.items() if process.done()]:
                process = running.pop(index)
                tell(_ended(cells[index], out, process))
            if running:
                time.sleep(PAUSE)
    finally:
        for process in running.values():
            process.cancel(check=False)
    return [_result(cell, out) for cell in cells]


def _result(cell: Cell, out: Path) -> dict[str, Any]:
    return known(cell, out) or {"status": FAILED, "reason": "the process ended without a result"}


def _ended(cell: Cell, out: Path, process: Any) -> str:
    """Say how a cell ended; of a process that left no result, what it last said."""
    found = known(cell, out)
    if found is None:
        said = (process.stderr() or "").strip().splitlines()[-LINES:]
        return f"{cell.name}: failed: the process ended without a result: {' | '.join(said) or 'it said nothing'}"
    if found["status"] == FAILED:
        return f"{cell.name}: failed: {found['reason']}"
    return f"{cell.name}: done in {found['seconds'] / 60.0:.1f} min"


def _executor(out: Path, cluster: Cluster, job: dict[str, Any]) -> Any:
    package = optional("submitit", "cluster", "a grid")
    try:
        executor = package.AutoExecutor(folder=out / "jobs", cluster=cluster)
        executor.update_parameters(**{"timeout_min": MINUTES, "name": "neuralfw", **job})
    except Exception as error:
        raise UserError(f"submitit does not take these jobs on {cluster}: {error}") from error
    return executor
