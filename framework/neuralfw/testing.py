"""For the tests of plugins: a component built outside of a recipe, and the contract of encoders."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from itertools import product
from typing import Any

import torch
from torch.testing import assert_close

from .components import Encoder
from .recipe.faults import RecipeError
from .recipe.model import Recipe
from .recipe.source import Source
from .recipe.tables import Tables
from .registry import discover
from .scene import Scene

__all__ = ["build_component", "check_encoder"]


def build_component(kind: str, name: str, options: Mapping[str, Any] | None = None, *, seed: int = 0) -> Any:
    """Build an installed component as a recipe would, in a scene that holds nothing else, on the CPU.

    Args:
        kind: such as "encoder" or "loss"; alternatives separated by "|".
        name: `name` or `owner/name`.
        options: as a recipe writes them, components in options included; what is left out has its default.
        seed: of the component's random stream, as a recipe's `seed`.

    Raises:
        RecipeError: no such component, or every fault of the options.
    """
    registry = discover()
    tables = Tables(Source.of({kind: {"type": name, **(options or {})}}, f"{kind} {name}"), registry)
    spec = tables.component(kind, tables.source.tree[kind], (kind,))
    if spec is None or tables.faults:
        raise RecipeError(tables.faults)
    recipe = Recipe(name=kind, seed=seed, data={}, fields={}, renderers={}, stages=())
    return Scene(recipe, registry, torch.device("cpu")).make(spec)


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
