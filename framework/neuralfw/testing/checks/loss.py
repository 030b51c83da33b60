"""What losses must hold: a scalar with a stated reduction, nothing from nothing, gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.testing import assert_close

from ...components import Quantities
from ..kit import check
from ..subject import Subject, made_up


def _drawn(subject: Subject, count: int | None = None) -> tuple[Any, Quantities, Quantities]:
    wiring = subject.spec.config.wiring()
    outputs = made_up(subject.registry, wiring.needs, layout="views", count=count, seed=1)
    batch = made_up(subject.registry, wiring.observes, layout="views", count=count, seed=2)
    leaves = {q: v.requires_grad_() if v.is_floating_point() else v for q, v in outputs.items()}
    return subject.build(), leaves, batch


@check("loss")
def it_is_a_scalar(subject: Subject) -> None:
    """It is one finite number."""
    loss, outputs, batch = _drawn(subject)
    value = loss(outputs, batch)
    assert isinstance(value, Tensor), f"it gives a {type(value).__name__}, not a tensor"
    assert value.shape == (), f"it has shape {tuple(value.shape)}, not that of a scalar"
    assert value.isfinite(), "it is not finite"


@check("loss")
def it_has_a_gradient(subject: Subject) -> None:
    """Its gradient reaches something that it needs, and is finite."""
    loss, outputs, batch = _drawn(subject)
    value = loss(outputs, batch)
    assert value.requires_grad, "it carries no graph: something was detached"
    leaves = [v for v in outputs.values() if v.requires_grad]
    slopes = [s for s in torch.autograd.grad(value, leaves, allow_unused=True) if s is not None]
    assert slopes, "no gradient reaches what it needs"
    assert all(bool(s.isfinite().all()) for s in slopes), "its gradient is not finite"


@check("loss")
def nothing_is_zero(subject: Subject) -> None:
    """A mean over nothing is 0, not NaN."""
    loss, outputs, batch = _drawn(subject, count=0)
    if all(v.numel() for v in (*outputs.values(), *batch.values())):
        return
    value = float(loss(outputs, batch).detach())
    assert value == 0.0, f"of no elements it is {value}"


@check("loss")
def inputs_stay(subject: Subject) -> None:
    """It changes neither outputs nor batch."""
    loss, outputs, batch = _drawn(subject)
    given = [*outputs.items(), *batch.items()]
    before = [value.detach().clone() for _, value in given]
    loss(outputs, batch)
    for (quantity, value), was in zip(given, before, strict=True):
        assert torch.equal(value, was), f"it changes {quantity}"


@check("loss")
def it_repeats(subject: Subject) -> None:
    """Of the same outputs and batch it is the same."""
    loss, outputs, batch = _drawn(subject)
    assert_close(loss(outputs, batch), loss(outputs, batch), rtol=0.0, atol=0.0)
