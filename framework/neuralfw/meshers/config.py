"""Options of core's meshers."""

from __future__ import annotations

from typing import Annotated, Literal

from ..config import ComponentConfig, Option, Ref, Unit, Wiring


class MarchingCubesConfig(ComponentConfig):
    """Options of `marching_cubes`."""

    resolution: int = Option(256, ge=2, le=2048, description="cells along the longest edge of the box")
    method: Literal["sparse", "dense"] = Option("sparse", description="evaluate only near the surface, or everywhere")
    level: float = Option(0.0, description="value of the level set, in scene units")
    padding: float = Option(0.1, ge=0, description="margin about the data's box, as a share of its longest edge")
    axes: Literal["scene", "object"] = Option(
        "scene",
        description="axes of the grid: the scene's; or the principal ones of the surface, with the box around it",
    )
    components: int | None = Option(None, ge=1, description="keep only so many of the largest parts; default: all")
    chunk: int = Option(8192, ge=1, description="points evaluated at once")

    def wiring(self) -> Wiring:
        return Wiring(needs=("sdf",), requires=("sdf:signed",))


class TsdfConfig(ComponentConfig):
    """Options of `tsdf`."""

    data: Annotated[str, Ref("data")] = Option("images", description="posed photographs, whose training cameras look")
    renderer: str | None = Option(
        None, description="table under [renderers]; default: the first that renders depth of posed images"
    )
    resolution: int = Option(256, ge=2, le=512, description="cells along the longest edge of the box")
    truncation: Annotated[float, Unit("cells")] = Option(
        4.0, gt=0, description="how far behind what is seen is taken to be inside"
    )
    min_alpha: float = Option(0.5, gt=0, lt=1, description="a pixel of lower alpha shows that its whole ray is empty")
    seen: float = Option(
        0.0, ge=0, le=1, description="only the part of the data's box that this share of the cameras see; 0: all of it"
    )
    padding: float = Option(0.05, ge=0, description="margin about the data's box, as a share of its longest edge")
