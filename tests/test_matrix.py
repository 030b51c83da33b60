"""The mixing matrix: what the wiring accepts trains, what it refuses has a reason, and a trial can fail."""

import re
import signal
from pathlib import Path

import pytest

from neuralfw.mixing.combinations import Combination, combinations, shipped_bases
from neuralfw.mixing.matrix import FAILS, REFUSED, WORKS, Row, read_rows, run_matrix, table
from neuralfw.mixing.trial import Judge, trial
from neuralfw.training.signals import Interrupted

BASES = {Path(base).stem: base for base in shipped_bases()}
SHORT = ["stages.fit.steps=20", "fields.sdf.width=16", "fields.sdf.layers=1"]


@pytest.fixture(scope="module")
def around_igr() -> list[Combination]:
    """Every combination around IGR."""
    return [*combinations(BASES["igr"])]


def test_a_combination_is_accepted_or_refused_with_the_reason(around_igr):
    found = around_igr
    assert len({c.key for c in found}) == len(found)
    accepted = {c.parts for c in found if not c.reason}
    assert ("core/mlp_sdf", "hashgrid/hash_grid", "core/query", "core/gradient") in accepted
    refused = {c.parts: c.reason for c in found if c.reason}
    assert "vertices" in refused["core/mlp_sdf", "core/identity", "core/query", "n4de/level_set"]
    assert "world_to_camera" in refused["core/mlp_sdf", "core/identity", "volume/neus", "core/gradient"]


def test_a_field_that_wraps_another_wraps_the_one_that_was_there(around_igr):
    wrapping = next(c for c in around_igr if c.parts[0] == "gs_pull/boxed_sdf" and not c.reason)
    assert any("width = 32" in text for text in wrapping.overrides)


def test_a_sample_of_the_matrix_works(tmp_path):
    rows = run_matrix([BASES["igr"], BASES["neural_pull"]], tmp_path / "rows.jsonl", sample=2, seed=1)
    tried = [row for row in rows if row.verdict != REFUSED]
    assert [(row.verdict, row.reason) for row in tried] == [(WORKS, "")] * 2
    assert read_rows(tmp_path / "rows.jsonl") == tried


@pytest.mark.slow
@pytest.mark.parametrize("base", BASES)
def test_the_matrix_works(base, tmp_path):
    """All that the wiring accepts around a small recipe trains: some 150 combinations, an hour of a core in all."""
    rows = run_matrix([BASES[base]], tmp_path / "rows.jsonl")
    tried = [row for row in rows if row.verdict != REFUSED]
    assert [f"{row.parts}: {row.reason}" for row in tried if row.verdict == FAILS] == []
    assert tried and all(row.reason for row in rows if row.verdict == REFUSED)


def test_what_is_done_is_not_tried_again(tmp_path, monkeypatch):
    out = tmp_path / "rows.jsonl"
    first = run_matrix([BASES["igr"]], out, sample=1)
    monkeypatch.setattr("neuralfw.mixing.trial.trial", lambda *_: pytest.fail("tried again"))
    assert run_matrix([BASES["igr"]], out, sample=1) == first


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("stages.fit.train.sdf.lr=0", "sdf did not move"),
        ("stages.fit.losses.sdf_zero.weight={type='linear',start=1.0,end=1.0,until=5}", ""),
        ("data.points.path=absent.ply", "absent.ply"),
    ],
)
def test_a_trial_says_what_did_not_go_as_it_must(tmp_path, change, reason):
    verdict = trial(BASES["igr"], [*SHORT, change], tmp_path / "run")
    assert verdict.works == (not reason)
    assert re.search(reason, verdict.reason)


def test_a_trial_that_is_stopped_is_no_verdict(tmp_path, monkeypatch):
    def stopped(*_, **__):
        raise Interrupted(signal.SIGTERM, 3, tmp_path)

    monkeypatch.setattr("neuralfw.mixing.trial.train", stopped)
    with pytest.raises(Interrupted):
        trial(BASES["igr"], SHORT, tmp_path / "run")


def test_a_total_that_rises_or_is_not_finite_is_a_fault():
    judge = Judge(totals=[[3.0, 2.0, 2.0, 1.0], [1.0, 1.0, 2.0, 2.0], [1.0, float("nan"), 1.0, 0.5]], still={"sdf"})
    faults = ["stage 2: the total rose from 1 to 2", "stage 3: a term is not finite", "sdf did not move"]
    assert judge.faults() == faults


def test_the_table_has_a_cell_for_each_row():
    rows = [
        Row("igr", ("core/mlp_sdf", "core/identity", "core/query", "core/gradient"), WORKS),
        Row("igr", ("core/mlp_sdf", "core/frequency", "core/pull", "core/gradient"), FAILS, "it rose"),
        Row("igr", ("core/mlp_sdf", "core/frequency", "core/splat", "core/gradient"), REFUSED, "no Gaussians"),
    ]
    assert [*table(rows)] == [
        "**igr**: 1 works, 1 refused, 1 fails",
        "",
        "| sdf | encoder | `query` + `gradient` | `pull` + `gradient` |",
        "|---|---|---|---|",
        "| `mlp_sdf` | `identity` | works | refused |",
        "| `mlp_sdf` | `frequency` | refused | fails |",
        "",
    ]
