"""Runs side by side: recipes, figures, curves and pictures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from test_report import Parsed
from typer.testing import CliRunner

import neuralfw
from neuralfw.cli import app
from neuralfw.errors import UserError
from neuralfw.pages.comparison import _judged, differences, named, tables
from neuralfw.pages.records import Record


def metric(value: float, better: str) -> dict[str, Any]:
    return {"value": value, "unit": "1", "better": better, "definition": "made up"}


@pytest.fixture
def pair(tiny_run: Path, tmp_path: Path) -> list[Path]:
    """Two runs with made-up figures; the second learnt at another rate, for fewer steps."""
    runs = [shutil.copytree(tiny_run, tmp_path / name) for name in ("a", "b")]
    for run, chamfer, psnr in zip(runs, (0.02, 0.01), (20.0, 20.0), strict=True):
        (run / "eval").mkdir()
        figures = {"protocol": "made", "summary": "x", "seed": 0, "omitted": {}}
        metrics = {"chamfer": metric(chamfer, "lower"), "psnr": metric(psnr, "higher"), "genus": metric(1, "none")}
        metrics |= {"f_score": metric(0.5, "higher")} if run.name == "a" else {}
        (run / "eval/made.json").write_text(json.dumps({**figures, "metrics": metrics}))
    recipe = runs[1] / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("steps = 4", "steps = 3"))
    lines = (runs[1] / "metrics.jsonl").read_text().splitlines()[:3]
    (runs[1] / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    return runs


def test_what_differs_and_which_is_better(pair: list[Path]) -> None:
    records = [Record(run) for run in pair]
    assert named(records) == ["a", "b"]
    assert [(d.key, d.values) for d in differences(records)] == [("stages.fit.steps", ("4", "3"))]
    made, cost = tables(records)
    rows = {row.name: row for row in made.rows}
    assert (rows["chamfer"].best, rows["chamfer"].by) == (1, "50.00%")
    assert rows["psnr"].best is None and rows["genus"].best is None
    assert _judged("psnr", "dB", "higher", "", (30.0, 20.5, None)).by == "9.50 dB"
    assert rows["f_score"].values == (0.5, None) and rows["f_score"].best is None
    assert made.doubts == () and [row.name for row in cost.rows] == ["steps", "training", "memory"]
    assert cost.rows[0].values == (4.0, 3.0)


def test_figures_that_do_not_rest_on_the_same_are_doubted(pair: list[Path]) -> None:
    file = pair[1] / "eval/made.json"
    file.write_text(file.read_text().replace('"seed": 0', '"seed": 7'))
    assert tables([Record(run) for run in pair])[0].doubts == ("seed differ: 0, 7",)


def test_runs_on_other_data_are_doubted(pair: list[Path]) -> None:
    recipe = pair[1] / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("sphere.ply", "other.ply"))
    assert tables([Record(run) for run in pair])[0].doubts == ("the runs learnt from different data",)


def test_the_terminal_shows_it_and_json_tells_it(pair: list[Path]) -> None:
    shown = CliRunner().invoke(app, ["compare", *map(str, pair)])
    assert shown.exit_code == 0
    for text in ("protocol made", "b, by 50.00%", "stages.fit.steps", "cost"):
        assert text in shown.stdout
    told = json.loads(CliRunner().invoke(app, ["compare", *map(str, pair), "--json"]).stdout)
    assert told["runs"] == ["a", "b"] and told["tables"][0]["rows"][0]["best"] == 1


def test_the_page_overlays_curves_and_shows_meshes_from_the_same_cameras(pair: list[Path], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = CliRunner().invoke(app, ["compare", *map(str, pair), "--html", str(page)])
    assert done.exit_code == 0, done.output
    parsed = Parsed(page)
    assert parsed.open == [] and "stages.fit.steps" in parsed.text and "b, by 50.00%" in parsed.text
    charts = [json.loads(str(chart["data-chart"])) for chart in parsed.all("svg")]
    assert [[series[0] for series in chart["series"]] for chart in charts] == [["a", "b"]] * 2
    assert [len(series[1]) for series in charts[0]["series"]] == [4, 3]
    shapes = [image["src"] for image in parsed.all("img") if image.get("data-layer") == "shape"]
    assert len(shapes) == 16 and shapes[:8] == shapes[8:]  # the runs are copies of one


def test_runs_are_told_apart_by_their_folders(tiny_run: Path, tmp_path: Path) -> None:
    runs = [shutil.copytree(tiny_run, tmp_path / name / "run") for name in ("x", "y")]
    assert named([Record(run) for run in runs]) == ["x/run", "y/run"]
    for wrong, said in (([runs[0]], "at least two"), ([runs[0], runs[0]], "given twice")):
        with pytest.raises(UserError, match=said):
            named([Record(run) for run in wrong])
    refused = CliRunner().invoke(app, ["compare", str(runs[0]), str(tmp_path / "none")])
    assert refused.exit_code == 2 and "is not a run directory" in refused.stderr


def test_it_is_a_call_of_python(pair: list[Path], tmp_path: Path) -> None:
    assert neuralfw.compare(pair, tmp_path / "page.html").is_file()
