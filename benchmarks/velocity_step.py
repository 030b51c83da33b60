"""A training step of ours against one of the released code of velocity deformation, on one machine, in turns.

    python benchmarks/velocity_step.py CHECKOUT [--rounds 3] [--batch 4086] [--recipes R R] [--threads N]

CHECKOUT is a copy of github.com/Sangluisme/Implicit-surf-Deformation (measured with commit e7992a5), of which no file
is changed; jax, flax and optax are to be installed beside (measured with 0.10.2, 0.12.8 and 0.2.8). What they no longer
have is restored from outside. Networks, weights of losses and batch are those of its faust.conf; the pair is an
ellipsoid of 10,242 vertices and the same turned by 60°.

Each stage is measured by itself: after a first step that does not count (it compiles) the sides take turns, and a ratio
is the median over the rounds of (released / ours) in processor time of all threads. Ours are `velocity_release`, with
as many points at as many times as the released step has, and `velocity`, whose networks are smaller and whose points
are each at one time, on the same batch. A released step of the last stage is eleven updates, so eleven of ours count.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
import trimesh

from neuralfw.geometry import Mesh, sample_surface, write_mesh
from neuralfw.hooks import hook
from neuralfw.session import train

STEPS = 10
"""Of the released code, in which it carries points."""
LOSSES = {
    "alpha": 0.01, "reinitial": 1, "eikonal": 10, "laplacian": 20, "divergence": 0, "level_set": 100, "normal": 100,
    "match": 200, "manifold": 100, "nonmanifold": 10, "onsurf": 100, "surf_area": 30,
}  # fmt: skip
STAGES = {
    "velocity": "train_step_frozen_sdf", "implicit": "train_step_frozen_v", "fine": "train_step_fine_tune_sdf"
}  # fmt: skip


class Cloud(NamedTuple):
    """What the released code keeps of a shape."""

    verts: Any
    points: Any
    local_sigma: Any
    verts_normals: Any
    points_normals: Any
    lower: Any
    upper: Any


class Released:
    """The released training steps, on a CPU."""

    def __init__(self, checkout: Path, shapes: tuple[Mesh, Mesh], batch: int) -> None:
        import jax

        jax.tree_map = jax.tree_util.tree_map
        shape = ModuleType("datasets.pointshape")  # its dataclasses have defaults that Python refuses
        shape.DeformPointCloud = shape.PointShape = Cloud  # type: ignore[attr-defined]
        sys.modules[shape.__name__] = shape
        sys.path.insert(0, str(checkout))
        methods = importlib.import_module("models.methods")
        network = importlib.import_module("models.modules").MLP
        sampler = importlib.import_module("datasets.sampler")
        self._jax, self._batch, self._key = jax, batch, jax.random.PRNGKey(0)
        self._model = methods.TargetDeform(T=STEPS, **LOSSES)
        self._shapes = [self._cloud(mesh, sampler) for mesh in shapes]
        dims = [256] * 8
        implicit = network(d_in=3, dims=dims, activation=["softplus"], geometry_init=True, timespace=True)
        velocity = network(d_in=3, dims=dims, d_out=3, activation=["relu"])
        inputs = [SimpleNamespace(d_in=3, timespace=timed, feature_vector_size=0) for timed in (1, 0)]
        conf = SimpleNamespace(network=SimpleNamespace(implicit_net=inputs[0], velocity_net=inputs[1]))
        self._states = self._model.model_init(self._key, lambda step: 1e-3, implicit, velocity, conf)

    def _cloud(self, mesh: Mesh, sampler: Any) -> Cloud:
        points, normals = sample_surface(mesh, 20_000, np.random.default_rng(0))
        every = np.concatenate([mesh.vertices, points])
        parts = (mesh.vertices, points, sampler.compute_local_sigma(every), mesh.vertex_normals, normals,
                 points.min(axis=0) - 0.25, points.max(axis=0) + 0.25)  # fmt: skip
        return Cloud(*(self._jax.numpy.asarray(part, dtype="float32") for part in parts))

    def step(self, stage: str) -> float:
        """Draw a batch and do a step; return the processor time."""
        begun = time.process_time()
        self._key, key = self._jax.random.split(self._key)
        drawn = self._model.get_batch(key, self._batch, *self._shapes)
        implicit, velocity = self._states
        found = getattr(self._model, STAGES[stage])(*drawn, 1.0, implicit_state=implicit, velocity_state=velocity)
        self._states = self._jax.block_until_ready(found[-2:])
        return time.process_time() - begun


class Race:
    """Times the steps of a run of ours, `turn` of them at a time, and after these one of the released code."""

    def __init__(self, released: Released) -> None:
        self._released = released
        self.ours: dict[str, list[float]] = {}
        self.theirs: dict[str, list[float]] = {}

    @hook
    def neuralfw_stage_start(self, trainer: Any, stage: str, steps: int) -> None:
        self._stage, self._turn, self._spent = stage, turn_of(stage), 0.0
        self.ours[stage], self.theirs[stage] = [], []
        self._begun = time.process_time()

    @hook
    def neuralfw_step_end(self, trainer: Any, ctx: Any) -> None:
        self._spent += time.process_time() - self._begun
        if trainer.clock.stage % self._turn == 0:
            self.ours[self._stage].append(self._spent)
            self.theirs[self._stage].append(self._released.step(self._stage))
            self._spent = 0.0
        self._begun = time.process_time()

    def told(self, stage: str) -> str:
        """Return the figures of a stage, the first turn left out."""
        ours, theirs = self.ours[stage][1:], self.theirs[stage][1:]
        ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
        seconds = [statistics.median(side) for side in (ours, theirs)]
        return f"{stage:9} ours {seconds[0]:6.2f} s  released {seconds[1]:6.2f} s  {ratio:5.1f} x"


def turn_of(stage: str) -> int:
    """Return how many steps of ours stand against one of theirs."""
    return STEPS + 1 if stage == "fine" else 1


def settings(recipe: str, batch: int, rounds: int) -> dict[str, Any]:
    """Return what makes a recipe take the released batch: `batch` matches and as many other points."""
    every, space = 2 * batch, batch + batch // 4
    steps = {stage: (rounds + 1) * turn_of(stage) for stage in STAGES if stage != "fine" or recipe != "velocity"}
    fine = {"stages.fine.passes.ends.batch": every, "stages.fine.passes.paths.batch": every}
    return {
        "stages.velocity.passes.paths.batch": every,
        "stages.implicit.passes.ends.batch": every,
        "stages.implicit.passes.paths.batch": every,
        "data.space.batch": space,
        **(fine if "fine" in steps else {}),
        **{f"stages.{stage}.steps": count for stage, count in steps.items()},
        **{"log.tensorboard": "false", "export.mesher.resolution": 16, "checkpoint.every": 0},
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=4086)
    parser.add_argument("--recipes", nargs="*", default=["velocity_release", "velocity"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    ball = trimesh.creation.icosphere(5)
    start, faces = np.asarray(ball.vertices) * [0.3, 0.12, 0.3], np.asarray(ball.faces)
    s, c = np.sin(np.pi / 3), np.cos(np.pi / 3)
    shapes = Mesh(start, faces), Mesh(start @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]), faces)
    released = Released(given.checkout, shapes, given.batch)
    with tempfile.TemporaryDirectory() as folder:
        pair = {}
        for name, mesh in zip(("source", "target"), shapes, strict=True):
            pair[f"data.pair.{name}"] = Path(folder) / f"{name}.ply"
            write_mesh(pair[f"data.pair.{name}"], mesh.vertices, mesh.faces)
        print(f"batch {given.batch}, {given.rounds} rounds, {given.threads} threads, processor time")
        for recipe in given.recipes:
            race = Race(released)
            chosen = pair | settings(recipe, given.batch, given.rounds)
            out = Path(folder) / recipe
            train(recipe, [f"{k}={v}" for k, v in chosen.items()], out=out, device="cpu", watchers=[race])
            for stage in race.ours:
                print(f"{recipe:17}{race.told(stage)}", flush=True)


if __name__ == "__main__":
    main()
