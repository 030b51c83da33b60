"""Losses of signed distances and their gradients. Each is a mean over the points."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..components import Build, Loss, Quantities
from .config import EikonalConfig, NormalConfig, OffSurfaceConfig, SdfRegressionConfig, SdfZeroConfig


def mean(values: Float[Tensor, "*n"]) -> Float[Tensor, ""]:
    """Return the mean; over nothing it is 0."""
    return values.sum() / max(1, values.numel())


def power(values: Float[Tensor, "*n"], exponent: int) -> Float[Tensor, "*n"]:
    """Return |values| or values²."""
    return values.abs() if exponent == 1 else values.square()


class SdfZero(Loss):
    """|f|: the points lie on the surface."""

    def __init__(self, config: SdfZeroConfig, build: Build) -> None:
        super().__init__(config, build)
        self._power = config.power

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        return mean(power(outputs["sdf"], self._power))


class Normal(Loss):
    """The gradient is the observed normal."""

    def __init__(self, config: NormalConfig, build: Build) -> None:
        super().__init__(config, build)
        self._form = config.form

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        gradient, normal = outputs["sdf_gradient"], batch["normal"]
        if self._form == "cosine":
            return mean(1.0 - torch.nn.functional.cosine_similarity(gradient, normal, dim=-1))
        squared = (gradient - normal).square().sum(dim=-1)
        return mean(squared if self._form == "squared" else (squared + 1e-20).sqrt())


class Eikonal(Loss):
    """|∇f| = 1 (Gropp et al. 2020, arXiv 2002.10099, eq. 2)."""

    def __init__(self, config: EikonalConfig, build: Build) -> None:
        super().__init__(config, build)
        self._power = config.power

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        length = (outputs["sdf_gradient"].square().sum(dim=-1) + 1e-20).sqrt()
        return mean(power(length - 1.0, self._power))


class OffSurface(Loss):
    """exp(-α|f|): away from the points there is no surface (Sitzmann et al. 2020, arXiv 2006.09661, eq. 6)."""

    def __init__(self, config: OffSurfaceConfig, build: Build) -> None:
        super().__init__(config, build)
        self._alpha = config.alpha

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        return mean((-self._alpha * outputs["sdf"].abs()).exp())


class SdfRegression(Loss):
    """The distance is the observed one: f - d, or with `relative` (f - d) / (|d| + 0.01), by its power."""

    def __init__(self, config: SdfRegressionConfig, build: Build) -> None:
        super().__init__(config, build)
        self._power, self._relative = config.power, config.relative

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        difference = outputs["sdf"] - batch["sdf"]
        return mean(power(difference / (batch["sdf"].abs() + 0.01) if self._relative else difference, self._power))
