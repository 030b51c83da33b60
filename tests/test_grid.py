"""Recipes x scenes x seeds: the cells, what becomes of each, the table; and a grid that is killed and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuralfw.bench import spread as spreading
from neuralfw.bench.cell import DONE, FAILED, known, result_of, settle
from neuralfw.bench.grid import Cell, cells_of, read_grid
from neuralfw.bench.table import markdown, summary
from neuralfw.errors import UserError
from neuralfw.geometry import write_points

Write = Callable[..., Path]


@pytest.fixture
def grid(tiny_recipe: Write, sphere_cloud: Path, tmp_path: Path) -> Path:
    """Two tiny recipes on one scene with two seeds; the truth is the cloud itself."""
    tiny_recipe().rename(tmp_path / "one.toml")
    (tmp_path / "two.toml").write_text((tmp_path / "one.toml").read_text().replace("width  = 16", "width  = 12"))
    truth = tmp_path / "truth.ply"
    write_points(truth, np.random.default_rng(0).normal(size=(50, 3)))
    file = tmp_path / "grid.toml"
    file.write_text("""
seeds   = [0, 1]
figures = ["reference_points.share_within"]
set     = ["log.report=false", "log.tensorboard=false"]

[[recipes]]
recipe = "one.toml"

[[recipes]]
recipe = "two.toml"
name   = "narrow"

[[scenes]]
name      = "ball"
reference = "truth.ply"
protocols = ["reference_points"]

[[published]]
scene  = "ball"
name   = "Someone"
figure = "reference_points.share_within"
value  = 0.5
source = "table 1"
""")
    return file


class InProcess:
    """What submitit is to a grid, without processes."""

    def __init__(self, *, killed: str = "") -> None:
        self.killed, self.started = killed, list[str]()

    def submit(self, function: Callable[..., None], cell: Cell, *args: str) -> InProcess:
        self.started.append(cell.name)
        if cell.name != self.killed:
            function(cell, *args)
        return self

    def done(self) -> bool:
        return True

    def stderr(self) -> str:
        return "one\nBus error"


def spread(monkeypatch: pytest.MonkeyPatch, executor: InProcess, cells: list[Cell], out: Path) -> Any:
    monkeypatch.setattr(spreading, "_executor", lambda *_: executor)
    told: list[str] = []
    return spreading.spread(cells, out, at_once=2, device="cpu", tell=told.append), told


def test_the_cells_of_a_grid(grid: Path) -> None:
    cells = cells_of(read_grid(grid), grid.parent)
    assert [cell.name for cell in cells] == [f"{r}/ball/seed-{s}" for r in ("one", "narrow") for s in (0, 1)]
    assert cells[3].overrides == ("log.report=false", "log.tensorboard=false", "seed=1")
    assert cells[0].reference == str(grid.parent / "truth.ply")
    before = cells[0].key
    (grid.parent / "one.toml").write_text((grid.parent / "one.toml").read_text() + "\n# other\n")
    assert cells[0].key != before and cells[2].key == cells_of(read_grid(grid), grid.parent)[2].key


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("seeds   =", "seed   ="), "seed: Extra inputs"),
        (('"two.toml"', '"one.toml"'), None),
        (('scene  = "ball"', 'scene  = "bal"'), "no scene 'bal'"),
        (('recipe = "one.toml"', 'recipe = "igrr"'), "no recipe igrr: .*closest: igr"),
        (('name   = "narrow"', 'name   = "one"'), "have one name"),
        (("seeds   = [0, 1]", "seeds   = [0, 1"), "no TOML file"),
    ],
)
def test_what_is_wrong_with_a_grid_is_told(grid: Path, change: tuple[str, str], words: str | None) -> None:
    grid.write_text(grid.read_text().replace(*change))
    if words is None:
        assert len(cells_of(read_grid(grid), grid.parent)) == 4
        return
    with pytest.raises(UserError, match=words):
        cells_of(read_grid(grid), grid.parent)


def test_what_fails_stops_no_other_and_is_tried_again(grid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells, out = cells_of(read_grid(grid), grid.parent)[:3], grid.parent / "out"
    (out / "one/ball").mkdir(parents=True)
    (out / "one/ball/seed-1").write_text("in the way")
    executor = InProcess(killed="narrow/ball/seed-0")
    results, told = spread(monkeypatch, executor, cells, out)
    assert [r["status"] for r in results] == [DONE, FAILED, FAILED] and len(executor.started) == 3
    assert "seed-1 is not empty" in results[1]["reason"]
    assert any("narrow/ball/seed-0: failed: " in line and "Bus error" in line for line in told)
    assert results[0]["seconds"] > 0.0 and results[0]["memory"] > 1e7

    (out / "one/ball/seed-1").unlink()
    first = result_of(cells[0], out).stat().st_mtime_ns
    again = InProcess()
    results, _ = spread(monkeypatch, again, cells, out)
    assert again.started == ["one/ball/seed-1", "narrow/ball/seed-0"]
    assert [r["status"] for r in results] == [DONE] * 3 and result_of(cells[0], out).stat().st_mtime_ns == first


def test_a_cell_of_other_settings_is_run_anew(grid: Path, tmp_path: Path) -> None:
    cell, out = cells_of(read_grid(grid), grid.parent)[0], tmp_path / "out"
    settle(cell, str(out), "cpu")
    found = known(cell, out)
    assert found is not None and found["status"] == DONE
    assert 0.0 <= found["figures"]["reference_points.share_within"] <= 1.0
    grid.write_text(grid.read_text().replace("log.report=false", "log.every=2"))
    other = cells_of(read_grid(grid), grid.parent)[0]
    assert known(other, out) is None
    settle(other, str(out), "cpu")
    assert known(other, out) is not None
    assert "every = 2" in (out / other.name / "recipe.toml").read_text()


def test_the_table_of_a_grid(grid: Path) -> None:
    asked = read_grid(grid)
    cells = cells_of(asked, grid.parent)

    def result(value: float, seconds: float) -> dict[str, Any]:
        figures = {"reference_points.share_within": value, "reference_points.other": 1.0}
        return {"status": DONE, "figures": figures, "seconds": seconds, "memory": 2e9, "device_memory": None}

    results = [result(0.4, 60.0), result(0.6, 120.0), result(0.7, 30.0), {"status": FAILED, "reason": "no"}]
    rows = summary(asked, cells, results)
    share = rows[0]["figures"]["reference_points.share_within"]
    assert share == {"mean": pytest.approx(0.5), "deviation": pytest.approx(0.1 * 2**0.5), "values": [0.4, 0.6]}
    assert (rows[0]["minutes"], rows[1]["done"], rows[1]["failed"]) == (1.5, 1, 1)
    lines = [*markdown(asked, rows)]
    assert lines[:2] == ["**ball**", ""]
    assert lines[2] == "| | reference_points.share_within | minutes | memory | runs |"
    assert lines[4] == "| `one` | 0.5 ± 0.14 | 1.5 | 2.0 GB | 2 |"
    assert lines[5] == "| `narrow` | 0.7 | 0.5 | 2.0 GB | 1, **1 failed** |"
    assert lines[6] == "| Someone (table 1) | 0.5 |  |  | published |"


def test_what_is_no_run_of_a_grid_stays(grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = cells_of(read_grid(grid), grid.parent)[0]
    mine = tmp_path / "out" / cell.name / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("not of a grid")
    for _ in range(2):
        (result,), _told = spread(monkeypatch, InProcess(), [cell], tmp_path / "out")
        assert result["status"] == "failed" and "no run of a grid" in result["reason"] and mine.is_file()


@pytest.mark.slow
def test_a_grid_that_is_killed_goes_on(grid: Path) -> None:
    """Real processes: killed when one run is done and one under way; that one goes on from its checkpoint."""
    pytest.importorskip("submitit", reason="submitit is not installed: pip install 'neuralfw[cluster]'")
    text = grid.read_text().replace('"log.report=false"', '"log.report=false", "checkpoint.every=200"')
    grid.write_text(text.replace('recipe = "two.toml"', 'recipe = "two.toml"\nset = ["stages.fit.steps=6000"]'))
    out = grid.with_suffix("")
    (out / "one/ball").mkdir(parents=True)
    (out / "one/ball/seed-1").write_text("in the way")
    command = [sys.executable, "-m", "neuralfw", "bench", "grid", str(grid), "--device", "cpu"]
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    under_way = out / "narrow/ball/seed-0/checkpoints/latest"
    until = time.monotonic() + 300.0
    while not under_way.exists():
        assert time.monotonic() < until and first.poll() is None
        time.sleep(0.2)
    os.kill(first.pid, signal.SIGINT)
    first.communicate(timeout=120)
    step = int(under_way.read_text().split("-")[1])  # step-N, or step-N-2 where it was told at a checkpoint
    assert not (out / "narrow/ball/seed-0.json").exists() and 0 < step < 6000
    done = (out / "one/ball/seed-0.json").stat().st_mtime_ns

    second = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert second.returncode == 1 and "one/ball/seed-1 is not empty" in second.stderr
    assert (out / "one/ball/seed-0.json").stat().st_mtime_ns == done
    rows = {row["recipe"]: row for row in json.loads((out / "table.json").read_text())}
    assert (rows["one"]["done"], rows["one"]["failed"], rows["narrow"]["done"]) == (1, 1, 2)
    lines = (out / "narrow/ball/seed-0/metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == sorted({*steps}) and steps[-1] == 6000
    assert "1, **1 failed**" in second.stdout and "Someone (table 1)" in second.stdout
