"""What a component must hold: the contract of encoders, and that a run goes on where it stopped."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from copy import deepcopy
from itertools import product
from pathlib import Path

import torch
from torch.testing import assert_close

from ..components import Encoder
from ..hooks import hook
from ..run import Run
from ..session import resume, train
from ..training.signals import Interrupted
from ..training.step import StepContext
from ..training.trainer import Trainer


def check_encoder(encoder: Encoder, *, dimensions: int = 3) -> None:
    """Assert the contract of an encoder of coordinates in [-1, 1].

    Its features are as many as it declares, also of no points, the first `coordinates` of them being the coordinates
    themselves; they are finite up to the corners. Its pullback is the transposed Jacobian in float64, and so are the
    derivatives of the pullback in x, g and the parameters, which training on gradients takes.

    Raises:
        AssertionError: something of this does not hold.
    """
    exact = deepcopy(encoder).double()
    corners = torch.tensor([*product((-1.0, 0.0, 1.0), repeat=dimensions)], dtype=torch.float64)
    for x in (corners, corners[:0]):
        features = exact(x)
        assert features.shape == (len(x), exact.out_dim), f"features {tuple(features.shape)}, out_dim {exact.out_dim}"
        assert features.isfinite().all(), "features are not finite"
        assert_close(features[:, : exact.coordinates], x[:, : exact.coordinates], msg="the first features are not x")
    if exact.pullback is not None:
        _check_pullback(exact, dimensions)


def _check_pullback(exact: Encoder, dimensions: int) -> None:
    """Compare a pullback and its derivatives with those that autograd takes of the features."""
    random = torch.Generator().manual_seed(0)
    x, v = (1.8 * torch.rand(2, 16, dimensions, generator=random, dtype=torch.float64) - 0.9).unbind()
    g = torch.randn(16, exact.out_dim, generator=random, dtype=torch.float64)
    inputs = [x.requires_grad_(), g.requires_grad_(), *(p for p in exact.parameters() if p.requires_grad)]
    found, expected = exact.pullback(x, g), Encoder.pullback(exact, x, g)
    assert_close(found, expected, msg=lambda text: f"pullback is not the transposed Jacobian: {text}")
    ours, autograd = (
        torch.autograd.grad(back, inputs, v, allow_unused=True, materialize_grads=True) for back in (found, expected)
    )
    assert_close(ours, autograd, msg=lambda text: f"pullback is not differentiable as autograd is: {text}")


def check_resume(recipe: str | Path, overrides: Sequence[str], folder: Path, *, after: int) -> Run:
    """Assert that a run which is stopped and resumed ends bit for bit as one that is not.

    Args:
        recipe: a recipe file, or the name of a shipped one.
        overrides: "key=value" texts, as after `--set`.
        folder: where both runs are written.
        after: steps after which one of them is stopped.

    Returns:
        The run that was not stopped.

    Raises:
        AssertionError: a tensor of the scene differs.
    """
    overrides = [*overrides, "log.report=false"]
    whole = Run(train(recipe, overrides, out=folder / "whole", device="cpu"))
    try:
        train(recipe, overrides, out=folder / "broken", device="cpu", watchers=[_Stop(after)])
    except Interrupted:
        resume(folder / "broken", device="cpu")
    else:
        raise AssertionError(f"the run was over before step {after}")
    resumed = Run(folder / "broken").scene.state_dict()
    for name, tensor in whole.scene.state_dict().items():
        assert torch.equal(tensor, resumed[name]), f"{name} differs after a resume"
    return whole


class _Stop:
    """Interrupts a run as the user would."""

    def __init__(self, after: int) -> None:
        self._after = after

    @hook
    def neuralfw_step_end(self, trainer: Trainer, ctx: StepContext) -> None:
        if trainer.clock.run == self._after:
            signal.raise_signal(signal.SIGINT)
