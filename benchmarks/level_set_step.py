"""An epoch of the level-set update: ours, and the authors' steps in plain autograd, in interleaved rounds.

python benchmarks/level_set_step.py [--rounds N] [--width N] [--resolution N] [--views N]

Both take the steps of `nie_release` at these sizes, from the same images, one moment an epoch: extract the surface,
draw it, differentiate by its vertices, one L1 step of the network towards the moved values. By hand the surface comes
from scikit-image on a dense grid, and every derivative of the network from autograd, as in the released code; both draw
with our rasteriser, for theirs needs a GPU. Times are of one thread's processor, which a busy machine changes least.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from skimage.measure import marching_cubes
from torch import Tensor

from neuralfw.hooks import hook
from neuralfw.scene import Scene
from neuralfw.session import check, train
from neuralfw_mesh.contract import Triangles
from neuralfw_mesh.surface import Extracted

CHUNK = 100_000
STEP = 1e-4


class ByHand:
    """The authors' epoch: a network, and an optimiser of it."""

    def __init__(self, overrides: list[str], resolution: int) -> None:
        checked = check("nie_release", [*overrides, "fields.sdf.kernel=torch"])
        self.scene = Scene(checked.recipe, checked.registry, torch.device("cpu")).build(with_data=False)
        self.field, self.renderer = self.scene.fields["sdf"], self.scene.renderers["main"]
        self.renderer.extracted = lambda scene, batch: self.surface  # type: ignore[method-assign]
        self.optimiser = torch.optim.AdamW(self.field.parameters(), lr=2e-6, weight_decay=0.1)
        axis = torch.linspace(-1.0, 1.0, resolution)
        self.grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)
        self.resolution = resolution

    def extract(self) -> Extracted:
        """Return the zero level set on the dense grid, its vertices a leaf."""
        with torch.no_grad():
            values = torch.cat([self.distance(x) for x in self.grid.split(CHUNK)])
        volume = values.reshape((self.resolution,) * 3).numpy()
        spacing = (2.0 / (self.resolution - 1),) * 3
        vertices, faces, _, _ = marching_cubes(volume, 0.0, spacing=spacing, method="lorensen")
        leaf = torch.from_numpy(vertices.copy() - 1.0).float().requires_grad_()
        return Extracted(leaf, Triangles(torch.from_numpy(faces.astype("int64"))), {})

    def distance(self, x: Tensor) -> Tensor:
        """Return the network's value."""
        value: Tensor = self.field(x)["sdf"]
        return value

    def slope(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return value and gradient by autograd, with their graph."""
        x = x.detach().requires_grad_()
        value = self.distance(x)
        return value, torch.autograd.grad(value.sum(), x, create_graph=True)[0]

    def step(self, batch: dict[str, Tensor], loss: Any) -> int:
        """Do an epoch; return the number of faces."""
        self.surface = self.extract()
        vertices = self.surface.vertices
        loss(self.renderer(self.scene.view(), batch, frozenset({"rgb"})), batch).backward()
        value, gradient = self.slope(vertices)
        target = (value + STEP * (gradient * vertices.grad).sum(dim=1)).detach()
        self.optimiser.zero_grad()
        (self.distance(vertices.detach()) - target).abs().mean().backward()
        self.optimiser.step()
        return len(self.surface.triangles.faces)


class Meter:
    """Times each step of the run, and after it the same by hand, on the same images."""

    def __init__(self, by_hand: ByHand) -> None:
        self.by_hand, self.ours, self.theirs = by_hand, list[float](), list[float]()
        self.faces: list[tuple[float, int]] = []

    @hook
    def neuralfw_stage_start(self, trainer: Any, stage: str, steps: int) -> None:
        self.by_hand.field.load_state_dict(trainer.scene.fields["sdf"].state_dict())
        self._begun = time.process_time()

    @hook
    def neuralfw_step_end(self, trainer: Any, ctx: Any) -> None:
        self.ours.append(time.process_time() - self._begun)
        begun = time.process_time()
        count = self.by_hand.step(ctx.results["views"].batch, ctx.losses["pyramid"].loss)
        self.theirs.append(time.process_time() - begun)
        self.faces.append((float(ctx.logged["faces"]), count))
        self._begun = time.process_time()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, default in (("rounds", 7), ("width", 256), ("resolution", 100), ("views", 10)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    overrides = [
        f"fields.sdf.width={asked.width}", f"renderers.main.resolution={asked.resolution - 1}",
        f"stages.evolve.passes.views.views={asked.views}", f"stages.evolve.steps={asked.rounds + 1}",
        "stages.evolve.losses.laplacian.remove=true", "evaluate.views=false", "export.colors=false",
        "export.mesher.resolution=16", "log.tensorboard=false",
    ]  # fmt: skip
    meter = Meter(ByHand(overrides, asked.resolution))
    with tempfile.TemporaryDirectory() as folder:
        train("nie_release", overrides, out=Path(folder) / "run", device="cpu", watchers=[meter])
    ours, theirs = meter.ours[1:], meter.theirs[1:]
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    print(f"faces {meter.faces[0][0]:.0f} and {meter.faces[0][1]}, {len(ours)} rounds, one thread")
    print(f"ours {statistics.median(ours):.2f} s, by hand {statistics.median(theirs):.2f} s an epoch")
    print(f"by hand / ours: median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
