"""What the trainer adds to a step: a tiny network in it, and in a loop written by hand, in interleaved rounds.

The times are of one thread's processor, which a busy machine changes least.

python benchmarks/step_overhead.py [--rounds N]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from neuralfw.hooks import hook
from neuralfw.session import train

STEPS = 200
RECIPE = """
name   = "overhead"
log    = {{ every = {steps}, tensorboard = false }}
checkpoint = {{ every = 0 }}

[data.box]
type  = "uniform"
batch = 8

[fields.sdf]
type   = "mlp_sdf"
width  = 8
layers = 1

[[stages]]
name   = "fit"
steps  = {total}
train  = ["sdf"]
passes = {{ box = {{ data = "box" }} }}
losses = [{{ type = "sdf_zero", on = "box" }}]
"""


class Meter:
    """Times each round of steps of the run, and after it as many steps of the loop by hand."""

    def __init__(self) -> None:
        self.trainer: list[float] = []
        self.by_hand: list[float] = []
        self._begun = 0.0

    @hook
    def neuralfw_stage_start(self, trainer: Any, stage: str, steps: int) -> None:
        self._field = trainer.scene.fields["sdf"]
        self._optimiser = torch.optim.Adam(self._field.parameters(), fused=True)
        self._begun = time.process_time()

    @hook
    def neuralfw_step_end(self, trainer: Any, ctx: Any) -> None:
        if trainer.clock.run % STEPS == 0:
            self.trainer.append((time.process_time() - self._begun) / STEPS)
            self.by_hand.append(seconds(self._step))
            self._begun = time.process_time()

    def _step(self) -> None:
        points = torch.rand(8, 3) * 2.2 - 1.1
        self._field(points)["sdf"].abs().mean().backward()
        self._optimiser.step()
        self._optimiser.zero_grad()


def seconds(step: Callable[[], None]) -> float:
    """Return the processor seconds of one step."""
    begun = time.process_time()
    for _ in range(STEPS):
        step()
    return (time.process_time() - begun) / STEPS


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help=f"rounds of {STEPS} steps")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    meter = Meter()
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "overhead.toml"
        recipe.write_text(RECIPE.format(steps=STEPS * rounds, total=STEPS * rounds))
        overrides = ["export.mesher.resolution=8", "export.mesher.padding=0.5"]
        train(recipe, overrides, out=Path(folder) / "run", watchers=[meter])
    inside, outside = (1e3 * statistics.median(times) for times in (meter.trainer, meter.by_hand))
    print(
        f"trainer {inside:.3f} ms, by hand {outside:.3f} ms: {inside - outside:.3f} ms more a step, median of {rounds}"
    )


if __name__ == "__main__":
    main()
