"""The contracts of components: what a plugin's class derives from and must answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .config import ComponentConfig, Spec
from .frames import fit_frame
from .geometry.frame import Frame
from .schedules import Clock, Number

if TYPE_CHECKING:
    from .scene import Scene, SceneView

Quantities = dict[str, Tensor]
"""Named tensors, as the vocabulary of quantities describes them."""


@dataclass
class Build:
    """What a component gets when it is built: the means to build its parts and to find others of the recipe.

    Attributes:
        scene: the scene as far as it is built; data come first, then fields in the order of their references.
        clock: the run's clock, which schedules read.
        device: where tensors live.
        place: where the component stands in the recipe; names its random stream.
        frame_fit: how the recipe wants the world brought into the training space, for the reader that makes the frame.
    """

    scene: Scene
    clock: Clock
    device: torch.device
    place: str
    frame_fit: Any
    make: Callable[[Spec], Any]
    generator: torch.Generator

    def frame_of(self, points: Float[np.ndarray, "n 3"]) -> Frame:
        """Return the frame that the recipe's [frame] asks for, given the data's points in the world."""
        return fit_frame(points, self.frame_fit)

    def component(self, spec: Spec) -> Any:
        """Build a component that stands in an option of this one."""
        return self.make(spec)


class Component:
    """Base of all components: keeps the options and the clock."""

    def __init__(self, config: ComponentConfig, build: Build) -> None:
        self._clock = build.clock

    def now(self, number: Number) -> float:
        """Return what a scheduled option is now."""
        return self._clock.now(number)


class Stateful(Component):
    """A component that may keep something from step to step; a checkpoint holds it, so that a run goes on exactly."""

    def state(self) -> dict[str, Tensor]:
        """Return what must be kept to go on exactly (snapshots, statistics); the base keeps nothing."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take up a kept state; called only where something was kept."""

    def renumber(self, field: str, index: Int[Tensor, " old"], count: int) -> None:
        """Follow a surgery: element i of a field is now `index[i]` of `count`, or gone where that is -1."""


class Module(nn.Module, Component):
    """Base of the components that own parameters or buffers."""

    def __init__(self, config: ComponentConfig, build: Build) -> None:
        nn.Module.__init__(self)
        Component.__init__(self, config, build)


class Field(Module):
    """A function of the scene: SDF, velocity, colour, Gaussians, cameras, latent codes.

    `role` says which; `wiring().provides` of its options says what it gives and needs. `exports` names what `export`
    writes, such as "gaussians": the folder of a run that it goes to. `reads` are the endings of files that `read`
    takes as a start (".ply"). `notes` tell, in words, what was done when it was built.
    """

    role: ClassVar[str]
    exports: ClassVar[str | None] = None
    reads: ClassVar[tuple[str, ...]] = ()
    notes: tuple[str, ...] = ()

    def evaluate(self, inputs: Mapping[str, Tensor], want: frozenset[str]) -> Quantities:
        """Return the wanted quantities at the inputs, all from one evaluation of the network."""
        raise NotImplementedError(type(self).__name__)

    def export(self, stem: Path, frame: Frame, time: float | None = None) -> list[Path]:
        """Write the field itself in world units, where `exports` says what it is called; return the files.

        Args:
            stem: path of the file to write, without its ending.
            frame: similarity from the world to the training space.
            time: in [0, 1], where the field moves.
        """
        raise NotImplementedError(type(self).__name__)

    def read(self, path: Path, frame: Frame) -> None:
        """Take the contents of a file in world units as the field's parameters, whatever their number of rows.

        Raises:
            UserError: the file is damaged or holds something else.
        """
        raise NotImplementedError(type(self).__name__)


class SdfField(Field):
    """A signed (or unsigned) distance, negative inside, in units of the training space.

    `features` is the number of feature channels that it gives beside the distance.
    """

    role = "sdf"
    features: int = 0

    def forward(
        self,
        x: Float[Tensor, "n 3"],
        t: Float[Tensor, " n"] | None = None,
        z: Float[Tensor, "n latent"] | None = None,
        want: frozenset[str] = frozenset({"sdf"}),
    ) -> Quantities:
        """Return the wanted of `sdf (n,)`, `sdf_gradient (n, 3)`, `sdf_time_derivative (n,)`, `feature (n, f)`."""
        raise NotImplementedError(type(self).__name__)

    def evaluate(self, inputs: Mapping[str, Tensor], want: frozenset[str]) -> Quantities:
        return self(inputs["points"], inputs.get("time"), inputs.get("latent"), want=want)  # type: ignore[no-any-return]


class Encoder(Module):
    """Coordinates to features. `out_dim` is the number of features; `coordinates` how many of the first features are
    the coordinates themselves, which geometric initialisation relies on.

    An encoder whose `pullback` is None runs under autograd where a gradient in space is wanted.
    """

    out_dim: int
    coordinates: int

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n features"]:
        """Return the features of coordinates."""
        raise NotImplementedError(type(self).__name__)

    def pullback(self, x: Float[Tensor, "n d"], g: Float[Tensor, "n features"]) -> Float[Tensor, "n d"]:
        """Return Jᵀg for the Jacobian J of the features at x, differentiable in g, x and the parameters."""
        with torch.enable_grad():
            x = x if x.requires_grad else x.detach().requires_grad_()
            return torch.autograd.grad(self(x), x, g, create_graph=True)[0]


class Renderer(Module):
    """Predicts observations: `(scene, batch, want) → outputs`."""

    def forward(self, scene: SceneView, batch: Quantities, want: frozenset[str]) -> Quantities:
        """Return the wanted quantities for a batch."""
        raise NotImplementedError(type(self).__name__)


class Loss(Component):
    """How far outputs and batch are apart, as a scalar with a stated reduction."""

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        """Return the loss. A mean over nothing is 0."""
        raise NotImplementedError(type(self).__name__)


class Data(Stateful):
    """Base of datasets and samplers: serves batches of named sets.

    Attributes:
        frame: the frame that the reader made, or None.
        bounds: lower and upper corner (2, 3) of what is observed, in the training space, or None.
        shapes: names of the shapes of a data set that holds several, in the order of their codes.
        shape_frames: the similarity from each shape's world to the training space, where they do not share `frame`.
        worlds: further worlds that results can be written in, by name: the similarity of each shape's to the training
            space.
        notes: what was found and done on opening, in words.
        times: time stamps in [0, 1] of a sequence, or none.
    """

    frame: Frame | None = None
    shapes: tuple[str, ...] = ()
    shape_frames: tuple[Frame, ...] = ()
    worlds: Mapping[str, tuple[Frame, ...]] = MappingProxyType({})
    bounds: Float[Tensor, "2 3"] | None = None
    notes: tuple[str, ...] = ()
    times: tuple[float, ...] = ()

    def batches(self, set_name: str, draw: Any) -> int:
        """Return how many batches make an epoch of a set."""
        raise NotImplementedError(type(self).__name__)

    def holds(self, set_name: str) -> bool:
        """Say whether a set of that name exists and is not empty."""
        return False

    def sample(self, request: Draw) -> Quantities:
        """Return one batch."""
        raise NotImplementedError(type(self).__name__)


@dataclass(frozen=True)
class Draw:
    """A request for one batch.

    Attributes:
        set: name of the set, "" for the default.
        options: the pass's drawing options, an instance of the data's `Config.Draw`.
        index: how many batches this pass has drawn before; with `batches` it places the batch in an epoch.
        stream: gives the generator of a count, such as an epoch's; the same count gives the same numbers.
        scene: for samplers that read the scene.
        time: the step's time stamp in [0, 1], or None.
    """

    set: str
    options: Any
    index: int
    stream: Callable[[int], torch.Generator]
    scene: SceneView
    time: float | None = None

    @property
    def generator(self) -> torch.Generator:
        """The stream of this draw alone, from its beginning."""
        return self.stream(self.index)


Velocity = Callable[[Tensor, Tensor], Tensor]
"""Positions (n, 3) and times (n,) to velocities (n, 3)."""


class Trajectory(NamedTuple):
    """Where points were at some times, start and end included."""

    times: Float[Tensor, " k"]
    points: Float[Tensor, "k n 3"]

    @property
    def end(self) -> Float[Tensor, "n 3"]:
        """The points at the last time."""
        return self.points[-1]


class Integrator(Component):
    """Carries points along a velocity, forward or, with t1 < t0, backward."""

    def __call__(self, velocity: Velocity, x: Float[Tensor, "n 3"], t0: float, t1: float) -> Trajectory:
        """Return where points that are at x at t0 come by until t1; differentiable in x and the velocity."""
        raise NotImplementedError(type(self).__name__)


class Mesher(Component):
    """Turns the scene into a triangle mesh."""

    def __call__(
        self, scene: SceneView, *, resolution: int | None = None, inputs: dict[str, Tensor] | None = None
    ) -> Any:
        """Return the `neuralfw.meshing.Surface` in the training space; `inputs` fixes time, shape or code."""
        raise NotImplementedError(type(self).__name__)


class Update(Stateful):
    """How the terms of a step change the scene; see `neuralfw.training.step.StepContext`."""

    def check(self, ctx: Any) -> None:
        """Raise UserError, before the first step, where the stage would leave something of `train` idle."""

    def step(self, ctx: Any) -> None:
        """Do one step."""
        raise NotImplementedError(type(self).__name__)


class Callback(Stateful):
    """Acts between steps: densifies, prunes, fits a box, takes snapshots."""

    def __call__(self, ctx: Any) -> None:
        """Act; `ctx` is that of the step before."""
        raise NotImplementedError(type(self).__name__)
