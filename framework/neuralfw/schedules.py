"""Numbers that change while a run goes on, and lengths given in steps or epochs. Imports no torch."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, model_validator
from pydantic.json_schema import SkipJsonSchema, WithJsonSchema

_LENGTH = re.compile(r"^(\d+)\s+(epochs?|steps?)$")


def _check_length(value: int | str) -> int | str:
    if isinstance(value, str) and not _LENGTH.match(value):
        raise ValueError('expected a number of steps, or text like "100 epochs"')
    if isinstance(value, int) and value < 0:
        raise ValueError("expected a number of steps that is not negative")
    return value


Length = Annotated[
    int | str,
    AfterValidator(_check_length),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": _LENGTH.pattern}]}),
]
"""Steps as an integer, or text like "100 epochs"."""


def in_steps(length: int | str, epoch_steps: int) -> int:
    """Convert a length to steps, an epoch being `epoch_steps` long."""
    if isinstance(length, int):
        return length
    match = _LENGTH.match(length)
    assert match is not None
    return int(match[1]) * (epoch_steps if match[2].startswith("epoch") else 1)


class Schedule(BaseModel):
    """A number as a function of a step count. `clock` names the count: the stage's steps, the run's, the updates
    that this parameter has had (`own`), or the draws of the pass of that name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str
    clock: str = Field("stage", description="what is counted: stage, run, own, or the name of a pass")

    def value(self, step: int, total: int, epoch_steps: int) -> float:
        """Return the number at `step` of `total`."""
        raise NotImplementedError(type(self).__name__)

    def needs_until(self) -> None:
        """Raise ValueError where the end of the stage, at which a change would end, is unknown on this clock."""
        if self.clock not in ("stage", "run"):
            raise ValueError(f'with clock = "{self.clock}" the end of the stage is unknown: give until')

    def extremes(self) -> tuple[float, ...]:
        """Return the numbers between which the schedule stays."""
        raise NotImplementedError(type(self).__name__)


class Constant(Schedule):
    """Always `start`."""

    type: Literal["constant"] = "constant"
    start: float = Field(description="the number")

    def value(self, step: int, total: int, epoch_steps: int) -> float:
        return self.start

    def extremes(self) -> tuple[float, ...]:
        return (self.start,)


class _Ramp(Schedule):
    start: float = Field(description="number at the first step")
    until: Length | None = Field(None, description="where the end is reached; default: the end of the stage")
    warmup: Length = Field(0, description="steps over which the number first grows linearly from 0 to start")

    @model_validator(mode="after")
    def _ends(self) -> _Ramp:
        if self.until is None:
            self.needs_until()
        return self

    def extremes(self) -> tuple[float, ...]:
        return (self.start, self.target)

    @property
    def target(self) -> float:
        raise NotImplementedError(type(self).__name__)

    def between(self, fraction: float) -> float:
        """Return the number at a fraction in [0, 1] of the way."""
        raise NotImplementedError(type(self).__name__)

    def value(self, step: int, total: int, epoch_steps: int) -> float:
        warmup = in_steps(self.warmup, epoch_steps)
        if step < warmup:
            return self.start * (step + 1) / warmup
        until = total if self.until is None else in_steps(self.until, epoch_steps)
        return self.between(min(1.0, (step - warmup) / max(1, until - warmup)))


class Linear(_Ramp):
    """From `start` to `end` in a straight line."""

    type: Literal["linear"] = "linear"
    end: float = Field(description="number at the end")

    @property
    def target(self) -> float:
        return self.end

    def between(self, fraction: float) -> float:
        return self.start + (self.end - self.start) * fraction


class Cosine(_Ramp):
    """From `start` to `end` along half a cosine (Loshchilov and Hutter 2017, arXiv 1608.03983)."""

    type: Literal["cosine"] = "cosine"
    end: float = Field(0.0, description="number at the end")

    @property
    def target(self) -> float:
        return self.end

    def between(self, fraction: float) -> float:
        return self.end + (self.start - self.end) * 0.5 * (1.0 + math.cos(math.pi * fraction))


class Exponential(Schedule):
    """Geometrically from `start` to `end`, or by `factor` per step or epoch."""

    type: Literal["exponential"] = "exponential"
    start: float = Field(description="number at the first step")
    end: float | None = Field(None, description="number at the end (give this or factor)")
    factor: float | None = Field(None, gt=0, description="multiplier per step or per epoch (give this or end)")
    per: Literal["step", "epoch"] = Field("step", description="what factor counts")
    until: Length | None = Field(None, description="where the number stops changing; default: the end of the stage")

    @model_validator(mode="after")
    def _one_form(self) -> Exponential:
        if (self.end is None) == (self.factor is None):
            raise ValueError("expected either end or factor")
        if self.end is not None and self.start * self.end <= 0:
            raise ValueError("start and end must be non-zero and of the same sign")
        if self.end is not None and self.until is None:
            self.needs_until()
        return self

    def value(self, step: int, total: int, epoch_steps: int) -> float:
        if self.until is not None:
            total = in_steps(self.until, epoch_steps)
            step = min(step, total)
        if self.end is not None:
            return float(self.start * (self.end / self.start) ** min(1.0, step / max(1, total)))
        assert self.factor is not None
        return float(self.start * self.factor ** (step if self.per == "step" else step // max(1, epoch_steps)))

    def extremes(self) -> tuple[float, ...]:
        return (self.start,) if self.end is None else (self.start, self.end)


class Steps(Schedule):
    """Piecewise constant: at each length of `at`, or every `every`, multiplied by `factor` or set to `to`."""

    type: Literal["steps"] = "steps"
    start: float = Field(description="number at the first step")
    at: tuple[Length, ...] | None = Field(None, description="where the number changes (give this or every)")
    every: Length | None = Field(None, description="period of the changes (give this or at)")
    factor: float | None = Field(None, description="multiplier at each change (give this or to)")
    to: float | None = Field(None, description="number from the first change on (give this or factor)")
    floor: float | None = Field(None, description="the number never falls below this")

    @model_validator(mode="after")
    def _one_form(self) -> Steps:
        if (self.at is None) == (self.every is None):
            raise ValueError("expected either at or every")
        if (self.factor is None) == (self.to is None):
            raise ValueError("expected either factor or to")
        if self.every is not None and in_steps(self.every, 1) == 0:
            raise ValueError("every must be at least one step")
        return self

    def value(self, step: int, total: int, epoch_steps: int) -> float:
        if self.every is not None:
            changes = step // max(1, in_steps(self.every, epoch_steps))
        else:
            changes = sum(step >= in_steps(a, epoch_steps) for a in self.at or ())
        if self.to is not None:
            number = self.to if changes else self.start
        else:
            assert self.factor is not None
            number = self.start * self.factor**changes
        return number if self.floor is None else max(number, self.floor)

    def extremes(self) -> tuple[float, ...]:
        return (self.start,) if self.to is None else (self.start, self.to)


SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "linear": Linear,
    "exponential": Exponential,
    "cosine": Cosine,
    "steps": Steps,
}


class Scheduled:
    """Marks an option whose number may be a schedule, and bounds it: `Annotated[Number, Scheduled(ge=0)]`."""

    def __init__(
        self, *, gt: float | int | None = None, ge: float | int | None = None, le: float | int | None = None
    ) -> None:
        self.gt, self.ge, self.le = gt, ge, le

    def check(self, number: float | int | Schedule) -> None:
        """Raise ValueError if the number, or any that the schedule reaches, is out of range."""
        for n in number.extremes() if isinstance(number, Schedule) else (number,):
            if not math.isfinite(n):
                raise ValueError(f"expected a finite number, found {n:g}")
            if self.gt is not None and not n > self.gt:
                raise ValueError(f"expected a number greater than {self.gt:g}, found {n:g}")
            if self.ge is not None and not n >= self.ge:
                raise ValueError(f"expected a number of at least {self.ge:g}, found {n:g}")
            if self.le is not None and not n <= self.le:
                raise ValueError(f"expected a number of at most {self.le:g}, found {n:g}")


def _dump(number: float | Schedule) -> Any:
    return number.model_dump(exclude_none=True) if isinstance(number, Schedule) else number


Number = Annotated[
    float | SkipJsonSchema[Schedule],
    PlainSerializer(_dump),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "object", "properties": {"type": {"enum": [*SCHEDULES]}}}]}),
]
"""A float, or a schedule of floats."""


class Clock:
    """The one clock of a run, which every schedule reads.

    Attributes:
        run: steps since the run began.
        stage: steps since the stage began.
        stage_steps: length of the stage in steps.
        epoch_steps: steps that visit every item of the first pass's data once.
        draws: how many batches each pass of the stage has drawn.
    """

    def __init__(self) -> None:
        self.run = 0
        self.stage = 0
        self.stage_steps = 1
        self.epoch_steps = 1
        self.draws: dict[str, int] = {}

    def state(self) -> dict[str, Any]:
        """Return the counts as plain data."""
        return {**vars(self), "draws": dict(self.draws)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up counts that were kept."""
        self.run, self.stage = int(state["run"]), int(state["stage"])
        self.stage_steps, self.epoch_steps = int(state["stage_steps"]), int(state["epoch_steps"])
        self.draws = {str(name): int(count) for name, count in state["draws"].items()}

    def tick(self) -> None:
        """Count a step."""
        self.run += 1
        self.stage += 1

    def next_stage(self) -> None:
        """Start the counts of a stage."""
        self.stage, self.draws = 0, {}

    def at_stage_end(self) -> Clock:
        """Return a clock that stands where this one will when the stage has run its full length."""
        end = Clock()
        end.load({**self.state(), "run": self.run + self.stage_steps - self.stage, "stage": self.stage_steps})
        return end

    def steps(self, length: int | str) -> int:
        """Convert a length to steps of this stage."""
        return in_steps(length, self.epoch_steps)

    def now(self, number: float | Schedule, own: int | None = None) -> float:
        """Return what a number is now; `own` counts the updates of the parameter it belongs to."""
        if not isinstance(number, Schedule):
            return float(number)
        counts = {"stage": self.stage, "run": self.run, "own": self.stage if own is None else own}
        step = counts[number.clock] if number.clock in counts else self.draws.get(number.clock, 0)
        total = self.stage_steps + (self.run - self.stage if number.clock == "run" else 0)
        return number.value(step, total, self.epoch_steps)
