"""A run that would take hours on a CPU says so."""

from types import SimpleNamespace

import pytest

from neuralfw import pace


def told(monkeypatch, name, steps, seconds):
    said, now = [], [0.0]
    monkeypatch.setattr(pace.time, "perf_counter", lambda: now[0])
    watcher = pace.Pace(said.append)
    trainer = SimpleNamespace(
        recipe=SimpleNamespace(name=name, stages=[SimpleNamespace(steps=steps)]),
        clock=SimpleNamespace(run=0, steps=int),
    )
    for _ in range(20):
        trainer.clock.run += 1
        now[0] += seconds
        watcher.neuralfw_step_end(trainer, None)
    return said


def test_it_tells_the_hours_once_and_names_the_recipe_in_small(monkeypatch):
    (text,) = told(monkeypatch, "deepsdf_paper", 7206, 1.0)
    assert "about 2 hours" in text
    assert "; deepsdf is made for minutes" in text


@pytest.mark.parametrize(("name", "steps"), [("deepsdf", 3000), ("own", 100)])
def test_it_is_silent_about_minutes(monkeypatch, name, steps):
    assert told(monkeypatch, name, steps, 1.0) == []


def test_a_recipe_without_a_small_form_gets_no_name(monkeypatch):
    (text,) = told(monkeypatch, "own", 10_000, 1.0)
    assert "made for minutes" not in text
