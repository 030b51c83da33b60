"""What fields must hold: shapes, derivatives against differences, and that their capabilities are true."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ...components import Quantities
from ..kit import check, gives
from ..subject import NAME, Subject, made_up

STEP = 1e-5


def _is(*roles: str) -> Callable[[Subject], bool]:
    return lambda subject: subject.component.role in roles


def _prepared(subject: Subject, count: int | None = None) -> tuple[Any, Quantities, frozenset[str]]:
    """Return a field in double precision, inputs for all that it gives, and the names of these."""
    scene = subject.scene()
    field = scene.fields[NAME].double().eval()
    provides = subject.spec.config.wiring().provides
    needs = {need for needed in provides.values() for need in needed}
    others = (s.config.wiring().provides for n, s in scene.recipe.fields.items() if n != NAME)
    had = {q for given in others for q in given}
    names = sorted(n for n in needs if not n.endswith("?") or n.removesuffix("?") in had)
    known = subject.registry.quantities()
    of_points = frozenset(q for q in provides if known[q].shape.startswith("(n"))
    return field, made_up(subject.registry, names, count=count), of_points


@check("field", when=_is("sdf", "velocity", "color"))
def what_is_wanted(subject: Subject) -> None:
    """Each quantity is given when it alone is wanted, one row a point, finite."""
    field, inputs, given = _prepared(subject)
    for quantity in given:
        found = field.evaluate(inputs, frozenset({quantity}))
        assert quantity in found, f"asked for {quantity}, it gives {', '.join(sorted(found)) or 'nothing'}"
        assert len(found[quantity]) == 24, f"{quantity} has {len(found[quantity])} rows for 24 points"
        assert found[quantity].isfinite().all(), f"{quantity} is not finite"


@check("field", when=_is("sdf", "velocity", "color"))
def no_points(subject: Subject) -> None:
    """Of no points it gives no rows."""
    field, inputs, given = _prepared(subject, count=0)
    for quantity, value in field.evaluate(inputs, given).items():
        assert len(value) == 0, f"{quantity} has {len(value)} rows for no points"


@check("field", when=_is("sdf", "velocity", "color"))
def points_alone(subject: Subject) -> None:
    """A point's values do not depend on the other points of a batch."""
    field, inputs, given = _prepared(subject)
    whole = field.evaluate(inputs, given)
    halves = [field.evaluate({q: v[part] for q, v in inputs.items()}, given) for part in (slice(9), slice(9, None))]
    for quantity, value in whole.items():
        parts = torch.cat([half[quantity] for half in halves])
        assert torch.allclose(parts, value, atol=1e-6), f"{quantity} of two halves is not that of the whole"


@check("field", when=_is("sdf"))
def sdf_gradient(subject: Subject) -> None:
    """The gradient is the distance's derivative in space."""
    field, inputs, _ = _prepared(subject)
    exact = field.evaluate(inputs, frozenset({"sdf_gradient"}))["sdf_gradient"]
    assert exact.shape == (24, 3), f"sdf_gradient has shape {tuple(exact.shape)}"
    difference = torch.stack([_difference(field, inputs, "sdf", "points", axis) for axis in range(3)], dim=1)
    _near(exact, difference, "sdf_gradient")


@check("field", when=gives("sdf_time_derivative"))
def sdf_time_derivative(subject: Subject) -> None:
    """The time derivative is the distance's derivative in time."""
    field, inputs, _ = _prepared(subject)
    exact = field.evaluate(inputs, frozenset({"sdf_time_derivative"}))["sdf_time_derivative"]
    _near(exact, _difference(field, inputs, "sdf", "time"), "sdf_time_derivative")


@check("field", when=gives("velocity_jacobian"))
def velocity_jacobian(subject: Subject) -> None:
    """Entry (i, j) of the Jacobian is the derivative of component i along axis j."""
    field, inputs, _ = _prepared(subject)
    exact = field.evaluate(inputs, frozenset({"velocity_jacobian"}))["velocity_jacobian"]
    difference = torch.stack([_difference(field, inputs, "velocity", "points", axis) for axis in range(3)], dim=2)
    _near(exact, difference, "velocity_jacobian")


@check("field", when=_is("sdf"))
def capabilities_are_true(subject: Subject) -> None:
    """It says `time` if the distance depends on time, `features` if it gives some, `second_order` if it curves."""
    field, inputs, given = _prepared(subject)
    config = subject.spec.config
    said = config.capabilities()  # type: ignore[attr-defined]
    timed = any(need.removesuffix("?") == "time" for need in config.wiring().provides["sdf"])
    assert ("time" in said) == timed, f"capability time is {'' if 'time' in said else 'not '}said, wiring disagrees"
    assert ("features" in said) == ("feature" in given), "capability features and quantity feature disagree"
    if "second_order" in said:
        x = inputs["points"].clone().requires_grad_()
        slope = field.evaluate({**inputs, "points": x}, frozenset({"sdf_gradient"}))["sdf_gradient"]
        assert slope.requires_grad, "second_order is said, but its gradient carries no graph"
        (curved,) = torch.autograd.grad(slope.square().sum(), x, allow_unused=True)
        finite = curved is not None and bool(curved.isfinite().all()) and bool(curved.any())
        assert finite, "second_order is said, but the gradient has no derivative"


@check("field", when=_is("sdf", "velocity", "color"))
def it_learns(subject: Subject) -> None:
    """A gradient reaches every parameter through what it gives."""
    field, inputs, given = _prepared(subject)
    found = field.evaluate(inputs, given)
    total = sum((value.square().sum() + value.sum()) for value in found.values() if value.requires_grad)
    assert isinstance(total, Tensor), "nothing that it gives depends on a parameter"
    trained = {n: p for n, p in field.named_parameters() if p.requires_grad}
    for name, slope in zip(trained, torch.autograd.grad(total, [*trained.values()], allow_unused=True), strict=True):
        assert slope is not None, f"no gradient reaches {name}"
        assert slope.isfinite().all(), f"the gradient of {name} is not finite"


@check("field", when=_is("color"))
def colors_are_colors(subject: Subject) -> None:
    """Colours lie in [0, 1], three to a point."""
    field, inputs, _ = _prepared(subject)
    color = field.evaluate(inputs, frozenset({"color"}))["color"]
    assert color.shape == (24, 3), f"color has shape {tuple(color.shape)}"
    assert float(color.detach().min()) >= 0.0, "a colour is below 0"
    assert float(color.detach().max()) <= 1.0, "a colour is above 1"


def _difference(field: Any, inputs: Quantities, quantity: str, along: str, axis: int | None = None) -> Tensor:
    """Return the central difference of a quantity along time, or an axis of the points."""
    step = torch.zeros_like(inputs[along])
    if axis is None:
        step += STEP
    else:
        step[:, axis] = STEP
    with torch.no_grad():
        ahead, behind = (
            field.evaluate({**inputs, along: inputs[along] + sign * step}, frozenset({quantity}))[quantity]
            for sign in (1.0, -1.0)
        )
    slope: Tensor = (ahead - behind) / (2.0 * STEP)
    return slope


def _near(exact: Float[Tensor, "..."], difference: Float[Tensor, "..."], what: str) -> None:
    """Assert that derivatives are near their differences; one in eight may straddle a kink."""
    apart = (exact.detach() - difference).abs().flatten(1) if exact.dim() > 1 else (exact.detach() - difference).abs()
    worst = apart if apart.dim() == 1 else apart.amax(dim=1)
    bound = 1e-4 * float(difference.abs().max()) + 1e-6
    wrong = int((worst > bound).sum())
    assert wrong <= len(worst) // 8, f"{what} is off its finite difference by up to {float(worst.max()):.3g}"
