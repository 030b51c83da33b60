"""Options of the encoder. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import model_validator

from neuralfw.config import EncoderConfig, Number, Option, Scheduled, Unit


class HashGridConfig(EncoderConfig):
    """Options of `hash_grid`."""

    dimensions: Literal[3, 4] = Option(3, description="4: time is an axis of the grids, like those of space")
    levels: int = Option(16, ge=1, le=32, description="number of grids, from coarse to fine")
    features: Literal[1, 2, 4, 8] = Option(2, description="features of each vertex of a grid")
    log2_table_size: int = Option(19, ge=3, le=28, description="a level holds at most 2 to the power of this vertices")
    base: int = Option(16, ge=2, description="vertices along an axis of the coarsest grid")
    finest: int = Option(2048, ge=2, description="vertices along an axis of the finest grid, unless growth is given")
    growth: float | None = Option(None, ge=1, description="ratio of the resolutions of neighbouring levels")
    interpolation: Literal["linear", "smoothstep"] = Option(
        "linear", description="between vertices; smoothstep makes the gradient continuous, which curvature terms need"
    )
    size: Annotated[float, Unit("scene units")] = Option(
        1.0, gt=0, description="the grids fill the cube [-size, size]³; points outside read its surface"
    )
    time_span: float = Option(
        1.0, gt=0, le=1, description="share of the axis of time that 0 to 1 takes: the less, the smoother over time"
    )
    include_input: bool = Option(True, description="keep the coordinates, which a start as a sphere needs")
    active_levels: Annotated[Number | None, Scheduled(ge=0)] = Option(
        None, description="levels that have faded in so far; default: all. A schedule goes from coarse to fine"
    )
    backend: Literal["auto", "cpu", "torch", "tinycudann"] = Option(
        "auto", description="who computes: cpu is numba; auto takes tinycudann on CUDA where it is installed"
    )

    def inputs(self) -> tuple[str, ...]:
        return ("points", "time") if self.dimensions == 4 else ("points",)

    @model_validator(mode="after")
    def _grows(self) -> HashGridConfig:
        if self.growth is None and self.finest < self.base:
            raise ValueError(f"finest must be at least base, found {self.finest} < {self.base}")
        if self.growth is not None and self.base * self.growth ** (self.levels - 1) >= 2**31:
            raise ValueError(f"{self.levels} levels that grow by {self.growth} exceed 2^31 vertices along an axis")
        return self
