"""Options of core's renderers."""

from __future__ import annotations

from ..config import ComponentConfig, Wiring


class QueryConfig(ComponentConfig):
    """Options of `query`: none."""

    def wiring(self) -> Wiring:
        passed = ("sdf", "sdf_gradient", "sdf_time_derivative", "feature", "latent")
        provides = {q: (q,) for q in passed}
        return Wiring(observes=("points",), provides={**provides, "normal": ("sdf_gradient",)})


class PullConfig(ComponentConfig):
    """Options of `pull`: none."""

    def wiring(self) -> Wiring:
        moved = dict.fromkeys(("pulled", "sdf", "sdf_gradient"), ("sdf", "sdf_gradient"))
        return Wiring(observes=("points",), needs=("sdf", "sdf_gradient"), provides=moved)
