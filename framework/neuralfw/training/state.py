"""What a run needs to go on exactly, put into a checkpoint and taken out again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..components import Stateful
from ..errors import UserError
from ..scene import Scene
from .checkpoint import Checkpoint
from .optimisers import Diverged
from .validation import Validation

if TYPE_CHECKING:
    from .trainer import Trainer


def capture(trainer: Trainer) -> Checkpoint:
    """Return the state between two steps.

    Raises:
        Diverged: a parameter is not finite.
    """
    if name := not_finite(trainer.scene):
        raise Diverged(f"parameter {name} is no longer finite at step {trainer.clock.run}")
    parts = {f"{n}/{k}": t for n, keeper in trainer.keepers().items() for k, t in keeper.state().items()}
    tensors = {"scene": trainer.scene.state_dict(), "optimisers": trainer.optimisers.state(), "parts": parts}
    state = {
        "stage": trainer.stage,
        "clock": trainer.clock.state(),
        "seconds": trainer.elapsed(),
        "validation": trainer.validation.state(),
        "edited": sorted(trainer.surgery.edited),
    }
    return Checkpoint(tensors, state)


def restore(trainer: Trainer, checkpoint: Checkpoint) -> None:
    """Take up a captured state; what belongs to the stage takes up its part when the stage starts.

    Raises:
        UserError: the checkpoint does not fit the recipe.
    """
    state = checkpoint.state
    load_weights(trainer.scene, checkpoint.tensors["scene"], resized=state["edited"])
    trainer.optimisers.load_state(checkpoint.tensors["optimisers"])
    trainer.stage, trainer.seconds = state["stage"], state["seconds"]
    trainer.clock.load(state["clock"])
    trainer.validation = Validation(**state["validation"])
    trainer.surgery.edited = {*state["edited"]}
    trainer.parts = checkpoint.tensors["parts"]
    for name, data in trainer.scene.data.items():
        hand_over(data, f"data.{name}", trainer.parts)


def hand_over(keeper: Stateful, name: str, parts: Mapping[str, Tensor]) -> None:
    """Give a component its part of a kept state, if it kept one."""
    prefix = f"{name}/"
    if own := {k.removeprefix(prefix): t for k, t in parts.items() if k.startswith(prefix)}:
        keeper.load_state(own)


def load_weights(scene: Scene, weights: Mapping[str, Tensor], resized: Collection[str] | None = None) -> None:
    """Load saved weights.

    Args:
        scene: the scene as the recipe builds it.
        weights: tensors by full name.
        resized: names of parameters that take the number of rows that was saved; default: any may.

    Raises:
        UserError: a name or shape does not fit the recipe's scene.
    """
    own = scene.state_dict(keep_vars=True)
    if unknown := sorted(own.keys() ^ weights.keys()):
        raise UserError(f"the checkpoint does not fit the recipe: {', '.join(unknown[:5])} on one side only")
    for name, saved in weights.items():
        free = 1 if saved.dim() and (resized is None or name in resized) else 0
        if own[name].dim() != saved.dim() or own[name].shape[free:] != saved.shape[free:]:
            found, expected = tuple(saved.shape), tuple(own[name].shape)
            raise UserError(f"the checkpoint does not fit the recipe: {name} is {found} there, {expected} here")
    for name, saved in weights.items():
        own[name].data = saved.to(own[name].device, own[name].dtype)


def not_finite(scene: Scene) -> str | None:
    """Return the name of a parameter that holds an infinity or no number, if there is one."""
    with torch.no_grad():
        return next((n for n, p in scene.named_parameters() if not bool(torch.isfinite(p).all())), None)
