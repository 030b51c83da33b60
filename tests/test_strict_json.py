"""What neuralfw writes as JSON is JSON, also where a figure is not finite."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from neuralfw.cli import app
from neuralfw.run import Run
from neuralfw.strict_json import dumps
from neuralfw.training.log import RunLog


def strictly(text: str) -> Any:
    """Read JSON as every other language does."""

    def refuse(literal: str) -> None:
        raise AssertionError(f"{literal} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_numbers_that_are_not_finite_become_strings_that_float_reads() -> None:
    value = {"a": [math.inf, (-math.inf, 1.5)], "b": {"c": math.nan}, "d": [True, None, 3, "NaN"]}
    read = strictly(dumps(value))
    assert read == {"a": ["Infinity", ["-Infinity", 1.5]], "b": {"c": "NaN"}, "d": [True, None, 3, "NaN"]}
    assert float(read["a"][0]) == math.inf and float(read["a"][1][0]) == -math.inf and math.isnan(float(read["b"]["c"]))


def test_finite_numbers_come_back_bit_for_bit() -> None:
    values = [0.1, 1e-320, -0.0, 2.0**53 + 2, 1.7976931348623157e308]
    assert strictly(dumps(values)) == values


def test_lines_of_metrics_are_strict(tmp_path: Path) -> None:
    log = RunLog(tmp_path, tensorboard=False)
    log.open(after=0)
    log.scalars(1, {"loss/l1": math.inf, "stage": "fit"})
    log.scalars(2, {"loss/l1": 0.5, "stage": "fit"})
    log.close()
    lines = [strictly(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [float(line["loss/l1"]) for line in lines] == [math.inf, 0.5]
    log = RunLog(tmp_path, tensorboard=False)
    log.open(after=1)
    log.close()
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 1


def test_an_infinite_figure_is_printed_and_kept_strictly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recipe.toml").write_text("")
    result = {"protocol": "views", "metrics": {"psnr": {"value": math.inf}}, "omitted": {}}
    monkeypatch.setattr("neuralfw.run.check", lambda path: type("Checked", (), {"recipe": None})())
    monkeypatch.setattr("neuralfw.judged_views.evaluate_photographs", lambda run, name: result)
    assert Run(tmp_path).eval("views") is result
    printed = CliRunner().invoke(app, ["eval", str(tmp_path), "--protocol", "views", "--json"])
    assert printed.exit_code == 0, printed.output
    kept = (tmp_path / "eval/views.json").read_text()
    assert strictly(printed.stdout) == strictly(kept)
    assert float(strictly(kept)["metrics"]["psnr"]["value"]) == math.inf
