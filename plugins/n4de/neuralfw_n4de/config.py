"""Options of the updates. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from neuralfw.config import ComponentConfig, Number, Option, Ref, Scheduled, Wiring


class FlowConfig(ComponentConfig):
    """Options of every update that moves a surface by a flow at its vertices."""

    field: Annotated[str, Ref("field", "sdf")] = Option("sdf", description="distance whose surface moves")
    max_faces: int = Option(2_000_000, ge=1, description="a surface of more faces is taken to have exploded")

    def wiring(self) -> Wiring:
        return Wiring(needs=("vertices", "faces"), requires=("sdf:signed",))


class LevelSetConfig(FlowConfig):
    """Options of `level_set`."""

    dt: Annotated[Number | None, Scheduled(gt=0)] = Option(
        None, description="time step; default: as large as max_voxels allows, whatever the losses' scale"
    )
    max_voxels: Annotated[Number, Scheduled(gt=0)] = Option(
        0.5, description="no vertex is asked to move farther than this many voxels, mean edges of the surface"
    )
    smoothing: float = Option(
        0.0, ge=0, description="length over which the flow is smoothed, in voxels (a Sobolev gradient)"
    )
    inner_steps: int = Option(5, ge=1, description="steps of the fit to the targets")
    fit: Literal["l1", "l2"] = Option("l1", description="difference between distance and target: absolute or squared")
    batch: int = Option(16384, ge=1, description="vertices drawn for each step of the fit; all where there are fewer")
    off_surface: int = Option(
        0,
        ge=0,
        description="points off the surface for each step of the fit, half near it, that follow the nearest vertex",
    )


class MeshSdfConfig(FlowConfig):
    """Options of `mesh_sdf`."""
