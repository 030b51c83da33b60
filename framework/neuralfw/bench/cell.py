"""One run of a grid: trained or gone on with, judged, and its result written, whatever becomes of it."""

from __future__ import annotations

import fcntl
import json
import shutil
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..geometry.files import write_file
from ..session import resume, train
from ..strict_json import dumps
from ..training.signals import Interrupted
from .grid import Cell

DONE, FAILED = "done", "failed"


def settle(cell: Cell, out: str, device: str) -> None:
    """Bring a cell to its end: its run to OUT/recipe/scene/seed-0/, its result to seed-0.json beside that.

    A run that was interrupted goes on; one that is done is left alone. What fails is written down, not raised. Another
    process that works at the same cell, as one that outlived the grid that started it, is waited for.
    """
    result, run = result_of(cell, Path(out)), Path(out) / cell.name
    result.parent.mkdir(parents=True, exist_ok=True)
    with _alone(result.with_suffix(".lock")):
        if (known(cell, Path(out)) or {}).get("status") == DONE:
            return
        told: dict[str, Any] = {"key": cell.key, "status": FAILED}
        try:
            _fresh(cell, result, run)
            _trained(cell, run, device)
            told |= {"status": DONE, "figures": _figures(cell, run), **costs(run)}
        except Interrupted:
            return
        except UserError as error:
            told["reason"] = str(error)
        except Exception as error:
            told |= {"reason": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
        write_file(result, (dumps(told, indent=2) + "\n").encode())


def result_of(cell: Cell, out: Path) -> Path:
    """Return the file of a cell's result."""
    return out / f"{cell.name}.json"


def known(cell: Cell, out: Path) -> dict[str, Any] | None:
    """Return the result of a cell; None where there is none, or one of other settings."""
    try:
        found = json.loads(result_of(cell, out).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("key") == cell.key else None


def costs(run: Path) -> dict[str, float | None]:
    """Return the seconds that a run was trained, over all its sittings, and its largest memory in bytes."""
    cost = json.loads((run / "cost.json").read_text(encoding="utf-8"))
    return {"seconds": trained_seconds(run), "memory": cost["memory"], "device_memory": cost["device_memory"]}


def trained_seconds(run: Path) -> float:
    """Return the seconds that a run was trained, over all its sittings."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return max((float(json.loads(line).get("seconds", 0.0)) for line in lines), default=0.0)


def _fresh(cell: Cell, result: Path, run: Path) -> None:
    """Remove what other settings left behind.

    Raises:
        UserError: something else lies where the run is to be.
    """
    stamp = result.with_suffix(".key")
    if run.is_dir() and not stamp.is_file():
        raise UserError(f"{run} is there already and no run of a grid: move it away, or say another --out")
    if run.is_dir() and stamp.read_text(encoding="utf-8") != cell.key:
        shutil.rmtree(run)
    write_file(stamp, cell.key.encode())


def _trained(cell: Cell, run: Path, device: str) -> None:
    if (run / "cost.json").is_file():
        return
    if (run / "checkpoints/latest").exists():
        resume(run, device=device)
        return
    if run.is_dir():
        shutil.rmtree(run)
    train(cell.file, cell.overrides, out=run, device=device)


def _figures(cell: Cell, run: Path) -> dict[str, float]:
    """Return all figures of a run by protocol and name, such as "neuralfw.chamfer"."""
    from ..run import Run

    reference = None if cell.reference is None else Path(cell.reference)
    if cell.protocols or reference is not None:
        opened = Run(run)
        for protocol in cell.protocols or (opened.surface_protocol(reference),):
            opened.eval(protocol, reference=reference)
    found: dict[str, float] = {}
    for file in sorted((run / "eval").glob("*.json")):
        judged = json.loads(file.read_text(encoding="utf-8"))
        found |= {f"{file.stem}.{name}": metric["value"] for name, metric in judged.get("metrics", {}).items()}
    return found


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
