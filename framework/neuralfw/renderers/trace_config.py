"""Options of `sphere_trace`."""

from __future__ import annotations

from typing import Annotated, Literal

from ..config import ComponentConfig, Number, Option, Scheduled, Unit, Wiring


class SphereTraceConfig(ComponentConfig):
    """Options of `sphere_trace`; the numbers are those of IDR, which has secant_iterations = 8."""

    search: Literal["guided", "dense"] = Option(
        "guided",
        description="guided: a coarse grid of the distance tells where rays need no network; dense: as IDR searches, "
        "also where a batch fixes a time or a code, with which the grid would change",
    )
    bounds: Literal["sphere", "box"] = Option(
        "sphere", description="surfaces lie in a sphere about the origin; or in the scene's box"
    )
    radius: Annotated[float, Unit("scene units")] = Option(1.0, gt=0, description="radius of that sphere")
    threshold: Annotated[float, Unit("scene units")] = Option(5e-5, gt=0, description="a distance that counts as met")
    iterations: int = Option(10, ge=1, description="steps of a ray before all that is left of it is sampled")
    line_search_step: float = Option(0.5, gt=0, lt=1, description="share of a step kept where it crossed the surface")
    line_search_iterations: int = Option(3, ge=0, description="how often a step that crossed is taken back")
    samples: int = Option(100, ge=2, description="samples of a ray that did not come to an end")
    secant_iterations: int = Option(16, ge=1, description="most steps from two samples of unlike sign to the surface")
    resolution: int = Option(64, ge=8, description="nodes of the guiding grid along each axis")
    refresh: Annotated[int, Unit("steps")] = Option(100, ge=1, description="steps after which that grid is made anew")
    sharpness: Annotated[Number, Scheduled(gt=0)] = Option(
        50.0, description="alpha of the mask loss: opacity of a ray that misses is sigmoid(-alpha times least distance)"
    )
    min_slope: float = Option(
        1e-4, ge=0, description="least |gradient along the ray| by which the moving intersection is divided"
    )
    chunk: int = Option(16384, ge=1, description="rays at a time of whole images without gradients")

    def wiring(self) -> Wiring:
        cameras = "world_to_camera?"
        traced = dict.fromkeys(("points", "hit", "alpha", "alpha_logit", "depth"), ("sdf", cameras))
        shaded = {"rgb": "color", "normal": "sdf_gradient", "sdf_gradient": "sdf_gradient"}
        return Wiring(
            needs=("sdf", "sdf_gradient", cameras),
            observes=("world_to_camera", "intrinsics", "size?", "pixels?", "view?", "background?", "mask?"),
            supplies=("points", "view_direction"),
            provides={**{q: (need, "sdf", cameras) for q, need in shaded.items()}, **traced},
            requires=("sdf:signed",),
            advises=("sdf:metric",),
        )
