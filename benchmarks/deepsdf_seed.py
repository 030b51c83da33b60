"""Time to equal error: `deepsdf_paper` against the code it follows, on one machine, in one process, at equal threads.

The opponent is a checkout of github.com/meysam-safarzadeh/surface_reconstruction_from_PointCloud (not part of this
project): `python benchmarks/deepsdf_seed.py CHECKOUT CLOUD REFERENCE`. Its training and validation functions run as
they are; only open3d, which it imports for a window, is replaced by nothing.

Our run is stopped after each eighth of its steps: its Chamfer is measured, and one epoch of the opponent is timed. So
the rounds interleave, and the opponent's time is the median of its epochs times the number of epochs that it needs.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neuralfw.geometry import Mesh, read_mesh
from neuralfw.hooks import hook
from neuralfw.metrics import evaluate_surface
from neuralfw.session import train


class Opponent:
    """The checkout's own training, an epoch at a time."""

    def __init__(self, checkout: Path, cloud: Path) -> None:
        sys.path.insert(0, str(checkout))
        sys.modules["open3d"] = types.ModuleType("open3d")
        self.code = importlib.import_module("train")
        self.args = argparse.Namespace(N_samples=100, sample_std=0.05, train_batch=512)
        points = np.loadtxt(cloud)
        order = np.random.default_rng(0).permutation(len(points))
        cut = int(0.8 * len(points))
        self.sets = [self._dataset(points[order[:cut]], "train"), self._dataset(points[order[cut:]], "val")]
        self.model = self.code.Decoder(self.args)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, weight_decay=1e-4)

    def _dataset(self, rows: np.ndarray, phase: str) -> Any:
        points, normals = self.code.normalize_pts(rows[:, :3]), self.code.normalize_normals(rows[:, 3:])
        return self.code.SdfDataset(points=points, normals=normals, phase=phase, args=self.args)

    def epoch(self) -> float:
        """Run one epoch, its validation included as it is; return the seconds."""
        start = time.perf_counter()
        self.code.train(self.sets[0], self.model, self.optimizer, self.args)
        self.code.val(self.sets[1], self.model, self.optimizer, self.args)
        return time.perf_counter() - start


class Rounds:
    """Watches our run: after each part of its steps, measures it and times an epoch of the opponent."""

    def __init__(self, opponent: Opponent, reference: Mesh, parts: int) -> None:
        self.opponent, self.reference, self.parts = opponent, reference, parts
        self.ours: list[tuple[int, float, float]] = []
        self.theirs: list[float] = []
        self.spent = 0.0
        self.since = time.perf_counter()

    @hook
    def neuralfw_stage_start(self, trainer: Any, stage: str, steps: int) -> None:
        self.since = time.perf_counter()

    @hook
    def neuralfw_step_end(self, trainer: Any, ctx: Any) -> None:
        clock = trainer.clock
        if clock.stage % max(1, clock.stage_steps // self.parts):
            return
        self.spent += time.perf_counter() - self.since
        self.ours.append((clock.run, self.spent, self.error(trainer)))
        self.theirs.append(self.opponent.epoch())
        print(
            "step {} {:.1f} s error {:.5f}".format(*self.ours[-1]),
            f"opponent's epoch {self.theirs[-1]:.1f} s",
            flush=True,
        )
        self.since = time.perf_counter()

    def error(self, trainer: Any) -> float:
        """Chamfer over the reference's diagonal of the mesh as it is now."""
        scene = trainer.scene
        scene.eval()
        surface = scene.make(trainer.recipe.export.mesher)(scene.view())
        scene.train()
        mesh = Mesh(scene.frame.to_world(surface.vertices), surface.faces)
        return float(evaluate_surface(mesh, self.reference)["metrics"]["chamfer_over_diagonal"]["value"])


def main() -> None:
    """Run both sides and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("cloud", type=Path, help="bunny-1000.pts")
    parser.add_argument("reference", type=Path, help="bunny.off")
    parser.add_argument("--target", type=float, default=0.00367, help="error with which the opponent ends")
    parser.add_argument("--epochs", type=int, default=53, help="epochs that it takes to get there")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rounds = Rounds(Opponent(arguments.checkout, arguments.cloud), read_mesh(arguments.reference), arguments.rounds)
    with tempfile.TemporaryDirectory() as folder:
        settings = [f"data.points.path={arguments.cloud.resolve()}", "checkpoint.every=0", "log.tensorboard=false"]
        train("deepsdf_paper", settings, out=Path(folder) / "run", watchers=[rounds])
    epoch = statistics.median(rounds.theirs)
    there = [seconds for _, seconds, error in rounds.ours if error <= arguments.target]
    print(
        f"threads {arguments.threads}; opponent: {epoch:.2f} s an epoch, "
        f"{epoch * arguments.epochs:.0f} s to {arguments.target}"
    )
    if there:
        print(f"ours: {there[0]:.0f} s to {arguments.target}; ratio {epoch * arguments.epochs / there[0]:.2f}")
    else:
        print(f"ours did not reach {arguments.target}: best {min(e for _, _, e in rounds.ours):.5f}")


if __name__ == "__main__":
    main()
