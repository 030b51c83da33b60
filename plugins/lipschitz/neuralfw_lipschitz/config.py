"""Options of the plugin's field and loss. Imports no torch."""

from __future__ import annotations

from typing import Literal

from neuralfw.config import ComponentConfig, Option, Wiring
from neuralfw.fields.config import MlpSdfConfig

LOG_BOUND = "lipschitz/log_bound"


class LipschitzSdfConfig(MlpSdfConfig):
    """Options of `lipschitz_sdf`: those of `mlp_sdf`, and how its layers are bounded."""

    norm: Literal["inf", "one"] = Option(
        "inf", description="norm of the bound: inf is the largest component and scales rows, one is their sum, columns"
    )
    bound: Literal["exp", "softplus"] = Option(
        "exp", description="how a bound is learnt: exp, as fast whatever its size; or LipMLP's softplus"
    )

    def wiring(self) -> Wiring:
        return Wiring(provides={**super().wiring().provides, LOG_BOUND: ()})

    def capabilities(self) -> frozenset[str]:
        return super().capabilities() | {"lipschitz"}


class LipschitzConfig(ComponentConfig):
    """Options of `lipschitz`."""

    form: Literal["log", "product"] = Option(
        "log", description="logarithm of the bound; or the bound, the product of those of the layers"
    )

    def wiring(self) -> Wiring:
        return Wiring(needs=(LOG_BOUND,))
