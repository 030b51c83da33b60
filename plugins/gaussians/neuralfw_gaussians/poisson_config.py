"""Options of the mesher of Gaussians' centres."""

from __future__ import annotations

from typing import Annotated

from neuralfw.config import ComponentConfig, Option, Ref, Wiring


class PoissonConfig(ComponentConfig):
    """Options of `poisson`."""

    data: Annotated[str, Ref("data")] = Option("images", description="posed photographs, whose cameras look at normals")
    depth: int = Option(9, ge=3, le=12, description="depth of the octree: the finest cells are 1/2^depth of the box")
    min_opacity: float = Option(0.5, ge=0, lt=1, description="fainter Gaussians are left out")
    trim: float = Option(0.02, ge=0, lt=1, description="share of the vertices that is dropped where centres are fewest")

    def wiring(self) -> Wiring:
        return Wiring(needs=tuple(f"gaussians/{q}" for q in ("means", "scales", "rotations", "opacities")))
