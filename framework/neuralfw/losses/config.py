"""Options of core's losses."""

from __future__ import annotations

from typing import Literal

from ..config import ComponentConfig, Option, Wiring


class SdfZeroConfig(ComponentConfig):
    """Options of `sdf_zero`."""

    power: Literal[1, 2] = Option(1, description="1: absolute value, 2: square")

    def wiring(self) -> Wiring:
        return Wiring(needs=("sdf",))


class NormalConfig(ComponentConfig):
    """Options of `normal`."""

    form: Literal["difference", "squared", "cosine"] = Option(
        "difference", description="|∇f - n| (IGR), |∇f - n|², or 1 - cos of the angle (SIREN)"
    )

    def wiring(self) -> Wiring:
        return Wiring(needs=("sdf_gradient",), observes=("normal",))


class EikonalConfig(ComponentConfig):
    """Options of `eikonal`."""

    power: Literal[1, 2] = Option(2, description="1: absolute value, 2: square of |∇f| - 1")

    def wiring(self) -> Wiring:
        return Wiring(needs=("sdf_gradient",))


class OffSurfaceConfig(ComponentConfig):
    """Options of `off_surface`."""

    alpha: float = Option(100.0, gt=0, description="how fast the penalty falls with |f|, per scene unit")

    def wiring(self) -> Wiring:
        return Wiring(needs=("sdf",))


class SdfRegressionConfig(ComponentConfig):
    """Options of `sdf_regression`."""

    power: Literal[1, 2] = Option(1, description="1: absolute, 2: squared difference")
    relative: bool = Option(False, description="as a share of the observed distance's absolute value, plus 0.01")

    def wiring(self) -> Wiring:
        return Wiring(needs=("sdf",), observes=("sdf",))


class L1Config(ComponentConfig):
    """Options of `l1`: none."""

    def wiring(self) -> Wiring:
        return Wiring(needs=("rgb",), observes=("rgb", "valid?"))


class MaskL1Config(ComponentConfig):
    """Options of `mask_l1`: none."""

    def wiring(self) -> Wiring:
        return Wiring(needs=("alpha",), observes=("mask?", "valid?"))
