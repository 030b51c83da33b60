"""Losses of velocities and of distances that move with them. Each is a mean over the points."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from neuralfw.components import Build, Loss, Quantities
from neuralfw.losses.sdf import mean, power
from neuralfw.operators import level_set_residual, shear, tangential_stretch

from .config import (
    NEIGHBOR,
    TARGET_NORMAL,
    DistortionConfig,
    DivergenceConfig,
    IsometryConfig,
    LevelSetResidualConfig,
    MatchingConfig,
    NavierStokesConfig,
    StraightConfig,
    StretchingConfig,
)


class Matching(Loss):
    """|x(1) - y|² of carried points x and those y that correspond, the part along y's normal by its own factor."""

    def __init__(self, config: MatchingConfig, build: Build) -> None:
        super().__init__(config, build)
        self._more = config.along_normal - 1.0

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        off = outputs["moved"] - batch["target"]
        along = (off * batch[TARGET_NORMAL]).sum(dim=1)
        return mean(off.square().sum(dim=1) + self._more * along.square())


class Isometry(Loss):
    """max(0, |l(t) - (1 - t) l(0) - t l(1)| / mean l(0) - slack)², at every step between the ends.

    Distances l of neighbours go evenly from what they are to what they will be by their matches: where the ends agree,
    or no matches are known, they stay.
    """

    def __init__(self, config: IsometryConfig, build: Build) -> None:
        super().__init__(config, build)
        self._slack = config.slack

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        neighbor = batch[NEIGHBOR].long()
        ends = batch["points"], batch.get("target", batch["points"])
        start, end = ((points - points[neighbor]).norm(dim=1) for points in ends)
        between = outputs["trajectory"][1:-1]
        now, t = (between - between[:, neighbor]).norm(dim=2), outputs["trajectory_time"][1:-1, None]
        change = (now - (1.0 - t) * start - t * end).abs() / mean(start).clamp_min(1e-12)
        return mean((change - self._slack).relu().square())


class Straight(Loss):
    """|x(t) - (1 - t) x(0) - t y|² at every step between the ends: ways are straight and even, as far as the rest lets
    them, so that nothing drifts that nothing else holds.
    """

    def __init__(self, config: StraightConfig, build: Build) -> None:
        super().__init__(config, build)

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        t = outputs["trajectory_time"][1:-1, None, None]
        off = outputs["trajectory"][1:-1] - (1.0 - t) * batch["points"] - t * batch["target"]
        return mean(off.square().sum(dim=2))


class NavierStokes(Loss):
    """|γ v - α Δv|²: the energy of diffeomorphic matching (arXiv 2501.14038; Beg et al. 2005)."""

    def __init__(self, config: NavierStokesConfig, build: Build) -> None:
        super().__init__(config, build)
        self._alpha, self._gamma = config.alpha, config.gamma

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        stress = self._gamma * outputs["velocity"]
        if self._alpha:
            stress = stress - self._alpha * outputs["velocity_laplacian"]
        return mean(stress.square().sum(dim=1))


class Divergence(Loss):
    """(∇·v)²: volumes stay."""

    def __init__(self, config: DivergenceConfig, build: Build) -> None:
        super().__init__(config, build)
        self._power = config.power

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        return mean(power(outputs["divergence"], self._power))


class Distortion(Loss):
    """The second invariant of the strain: shapes stay up to their size (4Deform, arXiv 2502.20208)."""

    def __init__(self, config: DistortionConfig, build: Build) -> None:
        super().__init__(config, build)
        self._power = config.power

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        return mean(power(shear(outputs["velocity_jacobian"]), self._power))


class Stretching(Loss):
    """|P(∇vᵀ∇v + ∇v + ∇vᵀ)P|²: lengths on the surface stay (4Deform, arXiv 2502.20208)."""

    def __init__(self, config: StretchingConfig, build: Build) -> None:
        super().__init__(config, build)

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        return mean(tangential_stretch(outputs["velocity_jacobian"], outputs["normal"]).square().sum(dim=(1, 2)))


class LevelSetResidual(Loss):
    """(∂φ/∂t + v·∇φ - λ φ ⟨(∇v)n, n⟩)²: the distance moves with the velocity (arXiv 2501.14038)."""

    def __init__(self, config: LevelSetResidualConfig, build: Build) -> None:
        super().__init__(config, build)
        self._strength = config.strength

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        residual = outputs["material_derivative"]
        if self._strength:
            residual = level_set_residual(residual, outputs["sdf"], outputs["normal_stretch"], self._strength)
        return mean(residual.square())
