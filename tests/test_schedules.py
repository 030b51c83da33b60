"""Schedules against closed forms, their bounds, lengths in epochs, and the clock that they read."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from neuralfw.schedules import (
    SCHEDULES,
    Clock,
    Constant,
    Cosine,
    Exponential,
    Linear,
    Schedule,
    Scheduled,
    Steps,
    in_steps,
)


def numbers(schedule: Schedule, steps: range, total: int = 10, epoch: int = 4) -> list[float]:
    return [schedule.value(step, total, epoch) for step in steps]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Constant(start=0.3), [0.3] * 6),
        (Linear(start=1.0, end=3.0), [1.0, 1.4, 1.8, 2.2, 2.6, 3.0]),
        (Linear(start=1.0, end=3.0, until=4), [1.0, 2.0, 3.0, 3.0, 3.0, 3.0]),
        (Linear(start=1.0, end=3.0, until="1 epochs"), [1.0, 2.0, 3.0, 3.0, 3.0, 3.0]),
        (Linear(start=1.0, end=0.0, warmup=4), [0.25, 0.75, 1.0, 2 / 3, 1 / 3, 0.0]),
        (Cosine(start=2.0), [1 + math.cos(math.pi * k / 5) for k in range(6)]),
        (Cosine(start=2.0, end=1.0, until=4), [2.0, 1.5, 1.0, 1.0, 1.0, 1.0]),
        (Exponential(start=1.0, end=1024.0), [4.0**k for k in range(6)]),
        (Exponential(start=-1.0, end=-1024.0, until=4), [-1.0, -32.0, -1024.0, -1024.0, -1024.0, -1024.0]),
        (Exponential(start=3.0, factor=0.5), [3.0 * 0.25**k for k in range(6)]),
        (Exponential(start=3.0, factor=0.5, until=4), [3.0, 0.75, 0.1875, 0.1875, 0.1875, 0.1875]),
        (Exponential(start=3.0, factor=0.5, per="epoch"), [3.0, 3.0, 1.5, 1.5, 0.75, 0.75]),
        (Steps(start=1.0, every=4, factor=0.5), [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]),
        (Steps(start=1.0, every="1 epochs", factor=0.5, floor=0.3), [1.0, 1.0, 0.5, 0.5, 0.3, 0.3]),
        (Steps(start=1.0, at=(2, "2 epochs"), factor=2.0), [1.0, 2.0, 2.0, 2.0, 4.0, 4.0]),
        (Steps(start=1.0, at=(3,), to=0.0), [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]),
    ],
)
def test_values_at_every_other_step(schedule: Schedule, expected: list[float]) -> None:
    assert numbers(schedule, range(0, 11, 2)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (Exponential, {"start": 1.0}, "expected either end or factor"),
        (Exponential, {"start": 1.0, "end": 2.0, "factor": 2.0}, "expected either end or factor"),
        (Exponential, {"start": 1.0, "end": -2.0}, "of the same sign"),
        (Exponential, {"start": 0.0, "end": 2.0}, "non-zero"),
        (Steps, {"start": 1.0, "factor": 2.0}, "expected either at or every"),
        (Steps, {"start": 1.0, "at": (1,), "every": 2, "factor": 2.0}, "expected either at or every"),
        (Steps, {"start": 1.0, "at": (1,)}, "expected either factor or to"),
        (Steps, {"start": 1.0, "every": 0, "factor": 2.0}, "at least one step"),
        (Linear, {"start": 1.0, "end": 0.0, "clock": "own"}, "give until"),
        (Cosine, {"start": 1.0, "clock": "views"}, "give until"),
        (Exponential, {"start": 1.0, "end": 2.0, "clock": "own"}, "give until"),
        (Linear, {"start": 1.0, "end": 0.0, "until": "ten epochs"}, "100 epochs"),
        (Linear, {"start": 1.0, "end": 0.0, "until": -1}, "not negative"),
    ],
)
def test_what_makes_no_sense_is_refused(kind: type[Schedule], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        kind(**options)


finite = st.floats(-1e6, 1e6)
positive = st.floats(1e-6, 1e6)
counts = st.integers(0, 10_000)


@given(finite, finite, counts, counts, counts)
def test_ramps_stay_between_their_extremes(start: float, end: float, step: int, total: int, until: int) -> None:
    for schedule in (
        Linear(start=start, end=end, until=until),
        Cosine(start=start, end=end),
        Linear(start=start, end=end),
    ):
        slack = 1e-9 * (abs(start) + abs(end))
        assert min(start, end) - slack <= schedule.value(step, total, 1) <= max(start, end) + slack


@given(positive, positive, counts, st.integers(1, 10_000))
def test_exponential_is_linear_in_the_logarithm(start: float, end: float, step: int, total: int) -> None:
    value = Exponential(start=start, end=end).value(step, total, 1)
    share = min(1.0, step / total)
    assert math.log(value) == pytest.approx((1 - share) * math.log(start) + share * math.log(end), abs=1e-9)


@given(counts, st.integers(1, 1000))
def test_lengths(count: int, epoch: int) -> None:
    assert in_steps(count, epoch) == in_steps(f"{count} steps", epoch) == in_steps(f"{count} step", epoch) == count
    assert in_steps(f"{count} epochs", epoch) == in_steps(f"{count} epoch", epoch) == count * epoch


@pytest.mark.parametrize(
    ("bounds", "number", "message"),
    [
        ({"gt": 0}, 0.0, "greater than 0, found 0"),
        ({"ge": 0}, Linear(start=1.0, end=-1.0), "at least 0, found -1"),
        ({"le": 1}, Steps(start=1.0, at=(1,), to=2.0), "at most 1, found 2"),
        ({}, math.inf, "finite"),
        ({"ge": 0}, math.nan, "finite"),
    ],
)
def test_bounds(bounds: dict[str, float], number: float | Schedule, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Scheduled(**bounds).check(number)
    Scheduled(gt=0, ge=1, le=2).check(Cosine(start=2.0, end=1.0))


def clock(**counts: Any) -> Clock:
    made = Clock()
    for name, count in counts.items():
        setattr(made, name, count)
    return made


def test_clocks() -> None:
    now = clock(run=107, stage=7, stage_steps=10, epoch_steps=4, draws={"views": 3})
    steps = {"start": 0.0, "factor": None, "to": 1.0}
    assert now.now(0.5) == 0.5
    assert now.now(Steps(at=(7,), **steps)) == 1.0
    assert now.now(Steps(at=(8,), **steps)) == 0.0
    assert now.now(Steps(at=(107,), clock="run", **steps)) == 1.0
    assert now.now(Steps(at=(3,), clock="views", **steps)) == 1.0
    assert now.now(Steps(at=(4,), clock="views", **steps)) == 0.0
    assert now.now(Steps(at=(1,), clock="unseen", **steps)) == 0.0
    assert now.now(Steps(at=(5,), clock="own", **steps), own=5) == 1.0
    assert now.now(Linear(start=0.0, end=1.0)) == 0.7
    assert now.now(Linear(start=0.0, end=1.0, clock="run")) == pytest.approx(107 / 110)


def test_clock_keeps_and_takes_up_its_counts() -> None:
    now = clock(run=12, stage=7, stage_steps=10, epoch_steps=4, draws={"views": 3})
    other = Clock()
    other.load(now.state())
    now.tick()
    now.draws["views"] = 9
    assert (other.run, other.stage, other.draws) == (12, 7, {"views": 3})
    end = other.at_stage_end()
    assert (end.run, end.stage, other.run) == (15, 10, 12)
    other.next_stage()
    assert (other.run, other.stage, other.draws) == (12, 0, {})


def test_every_schedule_is_registered_by_its_type() -> None:
    assert {kind.model_fields["type"].default for kind in SCHEDULES.values()} == {*SCHEDULES}
