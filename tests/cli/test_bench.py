"""The verb bench: what is tried is told, a fault is one message, what fails is an exit status."""

import json

from neuralfw.mixing import trial as trials
from neuralfw.mixing.combinations import shipped_bases

IGR = next(base for base in shipped_bases() if base.endswith("igr.toml"))


def test_a_sample_is_tried_and_told(cli, tmp_path):
    out = tmp_path / "rows.jsonl"
    result = cli("bench", "matrix", IGR, "--sample", 1, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    (tried,) = (row for row in rows if row["verdict"] != "refused")
    assert tried["verdict"] == "works" and tried["recipe"] == "igr" and len(tried["parts"]) == 4
    assert all(row["reason"] for row in rows if row["verdict"] == "refused")
    assert json.loads(out.read_text())["parts"] == tried["parts"]


def test_what_fails_is_an_exit_status(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(trials, "trial", lambda *_: trials.Verdict(False, "the total rose", 1.0))
    result = cli("bench", "matrix", IGR, "--sample", 1, "--out", tmp_path / "rows.jsonl")
    assert result.exit_code == 1
    assert "the total rose" in result.output and "1 fails" in result.stdout


def test_a_recipe_that_is_not_there_is_refused(cli):
    result = cli("bench", "matrix", "absent.toml")
    assert result.exit_code == 2
    assert "no recipe absent.toml" in result.output
