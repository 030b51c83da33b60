"""How long training steps of recipes take on a device, a GPU for instance, and how much of its memory they hold.

    python benchmarks/device_step.py RECIPE... [--device cuda] [--steps 200] [--warmup 20] [--set KEY=VALUE]...

Of each stage, the steps after the first `--warmup` are timed as a whole, with the device synchronised at both ends; so
preparation, compilation and meshing are left out. `--set` holds for every recipe. Stages with fewer steps keep theirs.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from neuralfw.errors import UserError
from neuralfw.hooks import hook
from neuralfw.session import check, train


@dataclass
class Watch:
    """Times the steps of each stage and notes the peak of the device's memory, in bytes."""

    warmup: int
    steps: dict[str, tuple[int, float]] = field(default_factory=dict)
    peak: dict[str, int] = field(default_factory=dict)
    _began: float = 0.0

    @hook
    def neuralfw_stage_start(self, trainer: Any, stage: str, steps: int) -> None:
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self._began = self._now()

    @hook
    def neuralfw_step_end(self, trainer: Any, ctx: Any) -> None:
        done, of = ctx.clock.stage, ctx.clock.stage_steps
        if done == min(self.warmup, of - 1):
            self._began = self._now()
        if done == of:
            timed = max(of - min(self.warmup, of - 1), 1)
            self.steps[ctx.stage.name] = (timed, (self._now() - self._began) / timed)
            self.peak[ctx.stage.name] = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0

    @staticmethod
    def _now() -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter()


def measure(recipe: str, overrides: Sequence[str], device: str, steps: int, warmup: int) -> Watch:
    """Train as many steps of each stage of a recipe, without a mesh at the end."""
    watch = Watch(warmup)
    short = [f"stages.{s.name}.steps={steps}" for s in check(recipe, overrides).recipe.stages if s.steps != 0]
    with tempfile.TemporaryDirectory() as folder:
        try:
            train(recipe, [*overrides, *short], out=Path(folder) / "run", device=device, watchers=[watch])
        except UserError as error:  # a mesh may be asked of what is not trained far enough for one
            print(f"  {error}")
    return watch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--device", default="cuda", choices=("cpu", "cuda"))
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--warmup", type=int, default=20)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    options = parser.parse_args()
    print(f"on {torch.cuda.get_device_name() if options.device == 'cuda' else 'the CPU'}, torch {torch.__version__}")
    for recipe in options.recipes:
        watch = measure(recipe, options.overrides, options.device, options.steps, options.warmup)
        for stage, (timed, seconds) in watch.steps.items():
            memory = f", {watch.peak[stage] / 2**20:,.0f} MiB at the peak" if options.device == "cuda" else ""
            print(f"{recipe:24} {stage:12} {1e3 * seconds:9.2f} ms a step over {timed}{memory}", flush=True)


if __name__ == "__main__":
    main()
