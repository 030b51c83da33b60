"""Options of the pair of shapes and of the losses of velocities. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from neuralfw.config import ComponentConfig, DataConfig, FieldConfig, InputPath, Option, Ref, Unit, Wiring

TARGET_NORMAL = "velocity/target_normal"
NEIGHBOR = "velocity/neighbor"


class PairingConfig(DataConfig):
    """What pairs of shapes have in common, be they one or many."""

    class Draw(BaseModel):
        """How a pass draws from pairs of shapes."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        batch: int = Option(
            2048, ge=1, description="points of a batch, of all pairs together; all where there are fewer"
        )

    matches: Literal["file", "template", "none"] = Option(
        "template", description="what corresponds: as files say; vertices of one number; or nothing that is known"
    )
    correspondence: InputPath | None = Option(
        None,
        description="with file: .npy, .txt or .map, a row for each vertex of one shape; -1 with base 0: no match; "
        "of a sequence a folder of these, one for each pair in the order of their names",
    )
    base: Literal[0, 1] = Option(0, description="number of the first vertex in those files")
    direction: Literal["source_to_target", "target_to_source"] = Option(
        "source_to_target", description="whose vertices the rows of `correspondence` stand for"
    )
    share: float = Option(1.0, gt=0, le=1, description="share of the matches that is used")
    align: Literal["none", "rigid", "similarity"] = Option(
        "none", description="how the target is laid onto the source first, by their matches, without reflection"
    )
    neighbors: int = Option(
        8,
        ge=1,
        description="of how many nearest matches one is drawn as a neighbour, by the set `neighbors`; of points of "
        "the source, where no matches are known",
    )
    samples: int = Option(20_000, ge=1, description="points drawn from each mesh, uniformly by area")

    @model_validator(mode="after")
    def _has_matches(self) -> PairingConfig:
        if (self.matches == "file") != (self.correspondence is not None):
            raise ValueError('matches = "file" and correspondence = a file go together: give both or none')
        if self.matches == "none" and self.align != "none":
            raise ValueError(f'align = "{self.align}" needs matches')
        return self

    def sets(self) -> Mapping[str, tuple[str, ...]]:
        surface = ("points", "time", "normal", "index")
        matches = (*surface, "target", TARGET_NORMAL)
        known = {"matches": matches} if self.matches != "none" else {}
        near = {"neighbors": (*known.get("matches", surface), NEIGHBOR)}
        return known | near | dict.fromkeys(("surfaces", "source", "target"), surface)


class ShapePairConfig(PairingConfig):
    """Options of `shape_pair`."""

    source: InputPath = Option(description="mesh or point cloud at time 0")
    target: InputPath = Option(description="mesh or point cloud at time 1")
    back: InputPath | None = Option(None, description="with file: the same in the other direction, in addition")

    @model_validator(mode="after")
    def _back_beside(self) -> ShapePairConfig:
        if self.back is not None and self.correspondence is None:
            raise ValueError("back is a second file beside correspondence: give that first")
        return self


class ShapeSequenceConfig(PairingConfig):
    """Options of `shape_sequence`."""

    path: InputPath = Option(description="folder of meshes or point clouds, in the order of the numbers in their names")
    first: int = Option(0, ge=0, description="number, from 0, of the shape with which the sequence begins")
    every: int = Option(1, ge=1, description="from there on every so many-th shape is taken")
    count: int | None = Option(None, ge=2, description="how many shapes are taken; all where nothing is said")


class NearSurfaceConfig(DataConfig):
    """Options of `near_surface`."""

    data: Annotated[str, Ref("data")] = Option("pair", description="data table of type shape_pair or shape_sequence")
    batch: int = Option(2048, ge=1, description="samples of a batch")
    uniform: float = Option(0.25, ge=0, le=1, description="share of them that is uniform in the box of both shapes")
    spread: Annotated[float, Unit("scene units")] = Option(
        0.05, gt=0, description="standard deviation of the others about the surfaces"
    )
    padding: float = Option(0.1, ge=0, description="margin of the box, as a share of its longest edge")

    def sets(self) -> Mapping[str, tuple[str, ...]]:
        return {"train": ("points", "time", "index")}


class KnownFlowConfig(FieldConfig):
    """Options of `known_flow`."""

    role: ClassVar[str] = "velocity"

    flow: Literal["translation", "rotation", "twist", "enright"] = Option(
        description="along x; about the z axis, as a whole or by an angle that grows with z; or LeVeque's deformation "
        "of the unit cube, which comes back"
    )
    amount: float = Option(
        1.0,
        description="how far in the unit of time, in scene units, radians or radians for each unit of z; Enright: 3",
    )

    def wiring(self) -> Wiring:
        given = ("velocity", "velocity_jacobian", "velocity_laplacian")
        return Wiring(provides=dict.fromkeys(given, ("points", "time")))

    def capabilities(self) -> frozenset[str]:
        return frozenset({"second_order", "time"})


class MatchingConfig(ComponentConfig):
    """Options of `matching`."""

    along_normal: float = Option(
        1.0, ge=0, description="factor of the part along the target's normal: above 1 where matches slip on the surface"
    )

    def wiring(self) -> Wiring:
        return Wiring(needs=("moved",), observes=("target", TARGET_NORMAL))


class IsometryConfig(ComponentConfig):
    """Options of `isometry`."""

    slack: float = Option(
        0.0, ge=0, description="change of length that is let pass, as a share of the mean distance of neighbours"
    )

    def wiring(self) -> Wiring:
        return Wiring(needs=("trajectory", "trajectory_time"), observes=("points", "target?", NEIGHBOR))


class StraightConfig(ComponentConfig):
    """Options of `straight`: none."""

    def wiring(self) -> Wiring:
        return Wiring(needs=("trajectory", "trajectory_time"), observes=("points", "target"))


class NavierStokesConfig(ComponentConfig):
    """Options of `navier_stokes`."""

    alpha: Annotated[float, Unit("scene units²")] = Option(0.01, ge=0, description="factor of the Laplacian")
    gamma: float = Option(1.0, ge=0, description="factor of the velocity itself")

    def wiring(self) -> Wiring:
        if not self.alpha:
            return Wiring(needs=("velocity",))
        return Wiring(needs=("velocity", "velocity_laplacian"), advises=("velocity:second_order",))


class DivergenceConfig(ComponentConfig):
    """Options of `divergence`."""

    power: Literal[1, 2] = Option(2, description="1: absolute value, 2: square of the divergence")

    def wiring(self) -> Wiring:
        return Wiring(needs=("divergence",))


class DistortionConfig(ComponentConfig):
    """Options of `distortion`."""

    power: Literal[1, 2] = Option(
        1, description="power of the second invariant, which is itself a square of the strain"
    )

    def wiring(self) -> Wiring:
        return Wiring(needs=("velocity_jacobian",))


class StretchingConfig(ComponentConfig):
    """Options of `stretching`: none."""

    def wiring(self) -> Wiring:
        return Wiring(needs=("velocity_jacobian", "normal"))


class LevelSetResidualConfig(ComponentConfig):
    """Options of `level_set_residual`."""

    strength: float = Option(
        1.0, description="λ of the term that keeps the gradient's length: 1 keeps it, 0 is the plain level-set equation"
    )

    def wiring(self) -> Wiring:
        kept = ("sdf", "normal_stretch") if self.strength else ()
        return Wiring(needs=("material_derivative", *kept))
