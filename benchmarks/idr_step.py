"""A training step of ours against one of IDR's released code: same weights, pixels, losses and threads, in one process.

    python benchmarks/idr_step.py CHECKOUT SCENE [--rays 2048] [--scale 1.0] [--form 100] [--rounds 3] [--threads N]

CHECKOUT is a copy of github.com/lioryariv/idr (measured with commit 44959e7), of which no file is changed: what asks
for a GPU or for packages of file formats is neutralised from outside. SCENE is in IDR's layout (image, mask, cameras).
A step is forward, losses and backward, of the published networks; it is measured at the start and again after ours
has trained `--form` steps, on the pixels that ours draws. The sides take turns, and each ratio is the median over the
rounds of (theirs / ours) in processor time of all threads, which other programs on the machine disturb less than the
elapsed time (with more than one thread, waiting threads may count as well). `small chunks` is the released code with
its search fed 4,096 points at a time instead of 100,000, which suits a CPU better. Evaluations are those of the search,
without gradients, per ray; ours count the nodes of the guiding grid too, shared among the steps until it is made anew.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import sys
import tempfile
import time
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from neuralfw.hooks import hook
from neuralfw.nn.mlp import Mlp
from neuralfw.session import train

PASSES = ("pixels", "space")
SMALL = 4096
NETWORKS: dict[str, Any] = {
    "feature_vector_size": 256,
    "implicit_network": {
        "d_in": 3, "d_out": 1, "dims": [512] * 8, "geometric_init": True, "bias": 0.6, "skip_in": [4],
        "weight_norm": True, "multires": 6,
    },
    "rendering_network": {
        "mode": "idr", "d_in": 9, "d_out": 3, "dims": [512] * 4, "weight_norm": True, "multires_view": 4,
    },
    "ray_tracer": {
        "object_bounding_sphere": 1.0, "sdf_threshold": 5.0e-5, "line_search_step": 0.5, "line_step_iters": 3,
        "sphere_tracing_iters": 10, "n_steps": 100, "n_secant_steps": 8,
    },
}  # fmt: skip


class Conf(dict[str, Any]):
    """As much of pyhocon's interface as the released model reads."""

    def get_int(self, key: str) -> int:
        return int(self[key])

    def get_config(self, key: str) -> dict[str, Any]:
        found: dict[str, Any] = self[key]
        return found

    def get_float(self, key: str) -> float:
        table, _, name = key.rpartition(".")
        return float(self[table][name])


class Released:
    """The released model and loss, on a CPU."""

    def __init__(self, checkout: Path) -> None:
        for name in ("cv2", "imageio"):
            sys.modules.setdefault(name, types.ModuleType(name))
        Tensor.cuda = nn.Module.cuda = lambda self, *args, **kwargs: self  # type: ignore[method-assign]
        sys.path.insert(0, str(checkout / "code"))
        from model.implicit_differentiable_renderer import IDRNetwork  # type: ignore[import-not-found]
        from model.loss import IDRLoss  # type: ignore[import-not-found]

        self.model = IDRNetwork(Conf(NETWORKS)).train()
        self.loss = IDRLoss(eikonal_weight=0.1, mask_weight=100.0, alpha=50.0)
        self.evaluations, self.chunk = 0, 0
        self._evaluate = self.model.implicit_network.forward
        self.model.implicit_network.forward = self._counted

    def _counted(self, points: Tensor, compute_grad: bool = False) -> Tensor:
        if torch.is_grad_enabled():
            return self._evaluate(points, compute_grad)  # type: ignore[no-any-return]
        self.evaluations += len(points)
        return torch.cat([self._evaluate(part) for part in points.split(self.chunk or max(1, len(points)))])

    @torch.no_grad()
    def take(self, sdf: Mlp, color: Mlp) -> None:
        """Take over the weights of our networks, whose layout is the same."""
        for theirs, ours in ((self.model.implicit_network, sdf), (self.model.rendering_network, color)):
            for k, linear in enumerate(ours.layers):
                twin = getattr(theirs, f"lin{k}")
                twin.weight_v.copy_(linear.weight)
                twin.weight_g.copy_(linear.gain)
                twin.bias.copy_(linear.bias)

    def step(self, batch: dict[str, Tensor]) -> dict[str, float]:
        """Do a step on the pixels of one photograph."""
        intrinsics = torch.eye(4)
        intrinsics[[0, 1, 0, 1], [0, 1, 2, 2]] = batch["intrinsics"][0]
        given = {
            "intrinsics": intrinsics[None],
            "uv": batch["pixels"][None],
            "pose": batch["world_to_camera"][0].inverse()[None],
            "object_mask": (batch["mask"] > 0.5)[None],
        }
        self.model.zero_grad()
        self.evaluations = 0
        with contextlib.redirect_stdout(io.StringIO()):
            losses = self.loss(self.model(given), {"rgb": 2.0 * batch["rgb"][None] - 1.0})
        losses["loss"].backward()
        return {name: float(value.detach()) for name, value in losses.items()}


class Race:
    """Lets the sides take turns at the start of the run and at its end."""

    def __init__(self, released: Released, rounds: int, form: int) -> None:
        self.released, self._rounds, self._at = released, rounds, {1: "at the start", 1 + form: f"after {form} steps"}

    @hook
    def neuralfw_step_end(self, trainer: Any, ctx: Any) -> None:
        if trainer.clock.run not in self._at:
            return
        fields = trainer.scene.fields
        self.released.take(fields["sdf"].mlp, fields["color"].mlp)
        renderer = trainer.scene.renderers["main"]
        sides: dict[str, Side] = {name: Side() for name in ("ours", "released", "small chunks")}
        shared = renderer.grid.numel() / trainer.recipe.renderers["main"].config.refresh

        def ours() -> dict[str, float]:
            ctx.run(PASSES)
            terms = ctx.terms(PASSES)
            ctx.backward(terms)
            trainer.scene.zero_grad()
            return {name: float(term.value.detach()) for name, term in terms.items()}

        for _ in range(self._rounds):
            sides["ours"].measure(ours)
            sides["ours"].evaluations.append((renderer.evaluations + shared) / renderer.rays)
            theirs = partial(self.released.step, ctx.results["pixels"].batch)
            for name, self.released.chunk in (("released", 0), ("small chunks", SMALL)):
                sides[name].measure(theirs)
                sides[name].evaluations.append(self.released.evaluations / renderer.rays)
        print(f"{self._at[trainer.clock.run]}, {renderer.rays} rays, {torch.get_num_threads()} threads")
        for name, side in sides.items():
            print(f"  {name:12} {side.told(sides['ours'])}", flush=True)


@dataclass
class Side:
    """What was measured of one side: one entry for each round."""

    seconds: list[float] = field(default_factory=list)
    elapsed: list[float] = field(default_factory=list)
    losses: list[dict[str, float]] = field(default_factory=list)
    evaluations: list[float] = field(default_factory=list)

    def measure(self, step: Callable[[], dict[str, float]]) -> None:
        """Time a step."""
        elapsed, begun = time.perf_counter(), time.process_time()
        self.losses.append(step())
        self.seconds.append(time.process_time() - begun)
        self.elapsed.append(time.perf_counter() - elapsed)

    def told(self, ours: Side) -> str:
        """Return the figures, and how they compare with ours."""
        median = statistics.median
        ratios = [
            median(a / b for a, b in zip(*pair, strict=True))
            for pair in ((self.seconds, ours.seconds), (self.elapsed, ours.elapsed))
        ]
        losses = "  ".join(f"{k} {statistics.mean(entry[k] for entry in self.losses):.4f}" for k in self.losses[0])
        return (
            f"{median(self.seconds):7.2f} s  {ratios[0]:6.2f}x ours ({ratios[1]:.2f}x elapsed)  "
            f"{statistics.mean(self.evaluations):6.1f} evaluations a ray  {losses}"
        )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--rays", type=int, default=2048)
    parser.add_argument("--scale", type=float, default=1.0, help="of the photographs")
    parser.add_argument("--form", type=int, default=100, help="steps between the two measurements")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    race = Race(Released(given.checkout), given.rounds, given.form)
    with tempfile.TemporaryDirectory() as folder:
        overrides = {
            "data.images": f'{{ type = "idr", path = "{given.scene.resolve()}", scale = {given.scale} }}',
            "frame": '{ fit = "file" }',
            "renderers.main.search": '"guided"',
            "stages.fit.passes.pixels.rays": given.rays,
            "data.space.batch": given.rays // 2,
            "stages.fit.steps": given.form + 1,
            "export.mesher.resolution": 16,
            "evaluate.views": "false",
            "log.every": 1,
        }
        train(
            "idr_release",
            [f"{k}={v}" for k, v in overrides.items()],
            out=Path(folder) / "run",
            device="cpu",
            watchers=[race],
        )


if __name__ == "__main__":
    main()
