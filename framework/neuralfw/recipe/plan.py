"""What wiring says of a recipe: the passes of each stage in order, with what each draws, predicts and is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class PassPlan:
    """One pass, wired.

    Attributes:
        roles: the field that plays each role.
        observed: quantities of its batch.
        predicted: quantities that the renderer could give here.
        want: those that somebody asks for.
        source: the pass whose outputs are its batch, if it reads one.
    """

    name: str
    roles: Mapping[str, str]
    observed: frozenset[str]
    predicted: frozenset[str]
    want: frozenset[str]
    source: str | None


@dataclass(frozen=True)
class StagePlan:
    """The passes of a stage, in an order in which each comes after the pass it reads."""

    name: str
    passes: Mapping[str, PassPlan]


@dataclass
class Plan:
    """A wired recipe, with warnings about what is possible but unwise."""

    stages: list[StagePlan] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
