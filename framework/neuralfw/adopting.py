"""Makes runs of weights that were trained elsewhere: a finished run directory without a step of training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from .errors import UserError
from .rundir import RunFolder
from .scene import Scene
from .session import Session, check
from .training.active import active_passes, epoch_steps

Weights = Mapping[str, Mapping[str, Tensor]]


def adopt(
    recipe: str | Path,
    overrides: Sequence[str],
    weights: Weights,
    *,
    out: Path,
    epochs: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """Write the run that a recipe would have ended with, had it learnt these weights; return its directory.

    Args:
        recipe: a recipe file, or the name of a shipped one.
        overrides: "key=value" texts, as after `--set`.
        weights: parameters by their names within each field.
        out: the run directory, absent or empty.
        epochs: visits of every item of the data of the last stage's first pass that the weights are worth: where the
            clock stands.
        say: receives notes, a line each.

    Raises:
        UserError: the recipe does not take these parameters, or its data cannot be read.
    """
    checked = check(recipe, overrides)
    folder = RunFolder.new(checked.recipe.name, out)
    session = Session(checked, folder, "cpu", say, ())
    try:
        scene = session.scene()
        for field, parameters in weights.items():
            _load(scene, field, parameters)
    except BaseException:
        folder.discard()
        raise
    session.describe(scene)
    trainer = session.trainer(scene)
    trainer.stage, clock = len(checked.recipe.stages), scene.clock
    last, plan = checked.recipe.stages[-1], checked.plan.stages[-1]
    clock.epoch_steps = epoch_steps(last, active_passes(scene, last, plan))
    clock.run = clock.stage = epochs * clock.epoch_steps
    clock.stage_steps = max(1, clock.stage)
    trainer.save()
    return folder.root


def _load(scene: Scene, field: str, parameters: Mapping[str, Tensor]) -> None:
    own = scene.fields[field].state_dict(keep_vars=True)
    needed = {name for name, _ in scene.fields[field].named_parameters()}
    if unlike := sorted(needed ^ parameters.keys()):
        raise UserError(f"{field} cannot take these weights: {', '.join(unlike[:5])} on one side only")
    for name, tensor in parameters.items():
        if own[name].shape != tensor.shape:
            found, expected = tuple(tensor.shape), tuple(own[name].shape)
            raise UserError(f"{field} cannot take these weights: {name} is {found} there, {expected} here")
        own[name].data = tensor.to(own[name].dtype)
