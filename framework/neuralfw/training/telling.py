"""A step in words, for whoever watches the training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .step import StepContext
    from .trainer import Trainer


def told(trainer: Trainer, ctx: StepContext) -> list[str]:
    """Return the values of a step's terms in words, and the best validation."""
    shown = [f"{name.removeprefix('loss/')} {float(value):.4g}" for name, value in ctx.logged.items()]
    best: Any = trainer.validation.best
    return [*shown, *([f"best validation {best:.4g}"] if best is not None else [])]
