"""Gaussians and SDFs that are known in closed form, in a scene that needs no recipe."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuralfw.components import Build, Draw, Field, Quantities, SdfField
from neuralfw.config import FieldConfig
from neuralfw.geometry import Frame
from neuralfw.scene import SceneView
from neuralfw.schedules import Clock


class FixedConfig(FieldConfig):
    """No options."""

    role = "gaussians"


class DiskGaussians(Field):
    """Disks, given as parameters; a class of its own, so that tests do not depend on how Gaussians are stored."""

    role = "gaussians"

    def __init__(self, means: Float[Tensor, "g 3"], normals: Float[Tensor, "g 3"], thin: float = 1e-3) -> None:
        nn.Module.__init__(self)
        count = len(means)
        self.means = nn.Parameter(means.clone())
        self.scales = nn.Parameter(torch.tensor([0.05, 0.04, thin]).repeat(count, 1))
        self.rotations = nn.Parameter(turning_z_to(normals))
        self.opacities = nn.Parameter(torch.full((count,), 0.8))
        self.sh = nn.Parameter(torch.zeros(count, 1, 3))

    def evaluate(self, inputs: Mapping[str, Tensor], want: frozenset[str]) -> Quantities:
        rotations = nn.functional.normalize(self.rotations, dim=1)
        given = {"means": self.means, "scales": self.scales, "rotations": rotations}
        given |= {"opacities": self.opacities, "sh": self.sh}
        return {q: given[q.removeprefix("gaussians/")] for q in want}


class SphereSdf(SdfField):
    """factor · (|x| - radius), the radius a parameter; counts how often it is evaluated."""

    def __init__(self, radius: float = 0.5, factor: float = 1.0) -> None:
        nn.Module.__init__(self)
        self.radius = nn.Parameter(torch.tensor(radius))
        self.factor = factor
        self.calls = 0

    def forward(
        self, x: Tensor, t: Tensor | None = None, z: Tensor | None = None, want: frozenset[str] = frozenset({"sdf"})
    ) -> Quantities:
        self.calls += 1
        length = x.norm(dim=1)
        quantities = {"sdf": self.factor * (length - self.radius)}
        quantities["sdf_gradient"] = self.factor * x / length[:, None]
        return {q: v for q, v in quantities.items() if q in want}


def turning_z_to(normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 4"]:
    """Return unit quaternions (w, x, y, z) that turn the z axis into the given directions."""
    x, y, z = nn.functional.normalize(normals, dim=1).unbind(dim=1)
    quaternion = torch.stack([1.0 + z, -y, x, torch.zeros_like(z)], dim=1)
    quaternion[z < -0.999999] = torch.tensor([0.0, 1.0, 0.0, 0.0])
    return nn.functional.normalize(quaternion, dim=1)


def fibonacci_sphere(count: int) -> Float[Tensor, "n 3"]:
    """Return directions spread evenly over the unit sphere."""
    i = torch.arange(count) + 0.5
    height, turn = 1.0 - 2.0 * i / count, math.pi * (1.0 + 5.0**0.5) * i
    ring = (1.0 - height.square()).sqrt()
    return torch.stack([ring * turn.cos(), ring * turn.sin(), height], dim=1)


class World(SceneView):
    """A scene of such fields, at once what components are built in and a pass's view of it."""

    def __init__(self, fields: dict[str, Field], bounds: Float[Tensor, "2 3"]) -> None:
        self.fields, self.bounds = fields, bounds
        self.data: dict[str, Any] = {}
        self.graph: dict[Any, Any] = {}
        self.frame = Frame.identity()
        self.scene: Any = self
        self._clock = Clock()

    @property
    def clock(self) -> Clock:
        return self._clock

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def coordinates(self, batch: Quantities) -> Quantities:
        return {"points": batch["points"]}

    @property
    def box(self) -> Float[Tensor, "2 3"]:
        return getattr(self.fields["sdf"], "box", self.bounds)

    def has(self, role: str) -> bool:
        return role in self.fields

    def field(self, role: str) -> Field:
        return self.fields[role]

    def view(self, roles: Any = None) -> World:
        return self

    def evaluate(self, inputs: Quantities, want: frozenset[str]) -> Quantities:
        ours = {q for q in want if q.startswith("gaussians/")}
        outputs = self.fields["gaussians"].evaluate({}, frozenset(ours)) if ours else {}
        rest = want - ours
        return outputs | (self.fields["sdf"].evaluate(inputs, rest) if rest else {})

    def build(self, *, of: Any = None) -> Build:
        """Return what a component is built with; `of` makes the component that stands in its slot."""
        generator = torch.Generator().manual_seed(0)
        device = torch.device("cpu")
        return Build(self.scene, self.clock, device, "test", None, lambda spec: of(), generator)

    def draw(self, set_name: str = "", index: int = 0, **options: Any) -> Draw:
        """Return a request for a batch."""
        return Draw(
            set=set_name,
            options=SimpleNamespace(**options),
            index=index,
            stream=lambda count: torch.Generator().manual_seed(1000 + count),
            scene=self,
        )


def sphere_world(count: int = 400, radius: float = 0.5, **fields: Field) -> World:
    """Return disks on a sphere about the origin, and its SDF."""
    directions = fibonacci_sphere(count)
    gaussians = DiskGaussians(radius * directions, directions)
    bounds = torch.tensor([[-1.0] * 3, [1.0] * 3])
    return World({"gaussians": gaussians, "sdf": SphereSdf(radius), **fields}, bounds)
