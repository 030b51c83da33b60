"""Losses of DeepSDF, SAL and Neural-Pull."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from neuralfw.components import Build, Loss, Quantities
from neuralfw.losses.sdf import mean

from .config import ClampedL1Config, CodeNormConfig, OutsideConfig, PullDistanceConfig, UnsignedL1Config


class ClampedL1(Loss):
    """|clamp(f, δ) - clamp(s, δ)|, mean or sum over the samples (Park et al. 2019, arXiv 1901.05103, eq. 4)."""

    def __init__(self, config: ClampedL1Config, build: Build) -> None:
        super().__init__(config, build)
        self._config = config

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        delta = self._config.delta
        errors = (outputs["sdf"].clamp(-delta, delta) - batch["sdf"].clamp(-delta, delta)).abs()
        return mean(errors) if self._config.reduction == "mean" else errors.sum()


class CodeNorm(Loss):
    """The codes stay short: the mean over the samples of |z|, or of z² over samples and components.

    Park et al. 2019, arXiv 1901.05103, eq. 9, as their released code has it.
    """

    def __init__(self, config: CodeNormConfig, build: Build) -> None:
        super().__init__(config, build)
        self._form = config.form

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        codes = outputs["latent"]
        return mean(codes.square()) if self._form == "squared" else mean(codes.norm(dim=1))


class Outside(Loss):
    """max(0, margin - f): the points are seen to be empty space (the same paper, §6.4). A mean over the points."""

    def __init__(self, config: OutsideConfig, build: Build) -> None:
        super().__init__(config, build)
        self._margin = config.margin

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        return mean((self._margin - outputs["sdf"]).clamp_min(0.0))


class UnsignedL1(Loss):
    """||f| - h| for the unsigned distance h to the points: the sign is f's own choice. A mean over the samples.

    Sign-agnostic learning (Atzmon and Lipman 2020, arXiv 1911.10414, eq. 2 and 5).
    """

    def __init__(self, config: UnsignedL1Config, build: Build) -> None:
        super().__init__(config, build)

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        return mean((outputs["sdf"].abs() - batch["distance"]).abs())


class PullDistance(Loss):
    """|q' - p|² for a query pulled to q' and its nearest point p (Ma et al. 2021, arXiv 2011.13495, eq. 2). A mean."""

    def __init__(self, config: PullDistanceConfig, build: Build) -> None:
        super().__init__(config, build)
        self._power = config.power

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        squared = (outputs["pulled"] - batch["nearest"]).square().sum(dim=-1)
        return mean(squared if self._power == 2 else (squared + 1e-20).sqrt())
