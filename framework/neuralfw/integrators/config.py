"""Options of core's integrators."""

from __future__ import annotations

from ..config import ComponentConfig, Option


class FixedStepsConfig(ComponentConfig):
    """Options of `euler`, `midpoint` and `rk4`."""

    steps: int = Option(
        8, ge=1, description="steps of the whole time from 0 to 1; a part of it takes its share of them"
    )


class AdaptiveConfig(ComponentConfig):
    """Options of `adaptive`."""

    relative: float = Option(1e-5, gt=0, description="error of a step relative to the position")
    absolute: float = Option(1e-6, gt=0, description="error of a step, in scene units")
    most: int = Option(1000, ge=1, description="steps after which it gives up")
