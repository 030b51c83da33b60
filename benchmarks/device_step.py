"""How long training steps of recipes take on a device, a GPU for instance, and how much of its memory they hold.

    python benchmarks/device_step.py RECIPE... [--device cuda] [--steps N] [--warmup 20] [--set KEY=VALUE]... [--out F]

Of each stage, the steps after the first `--warmup` are timed as a whole, with the device synchronised at both ends; so
preparation, compilation and meshing are left out. `--steps 0` takes the recipe's own. `--set` holds for every recipe.
With `--out` the runs stay, as F/RECIPE, with what they export and evaluate.
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
from neuralfw.training.signals import Interrupted


@dataclass
class Watch:
    """Times the steps of each stage, in seconds, and notes the peak of the device's memory, in bytes."""

    warmup: int
    steps: dict[str, tuple[int, float]] = field(default_factory=dict)
    peak: dict[str, int] = field(default_factory=dict)
    _began: float = 0.0

    @hook
    def neuralfw_stage_start(self, trainer: Any, stage: str, steps: int) -> None:
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self._began = _now()

    @hook
    def neuralfw_step_end(self, trainer: Any, ctx: Any) -> None:
        done, of, name = ctx.clock.stage, ctx.clock.stage_steps, ctx.stage.name
        first = min(self.warmup, of - 1)
        if done == first:
            self._began = _now()
        elif done > first:
            self.steps[name] = done - first, (_now() if done == of else time.perf_counter()) - self._began
            self.peak[name] = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def measure(recipe: str, overrides: Sequence[str], device: str, steps: int, warmup: int, out: Path) -> Watch:
    """Train a recipe, or as many steps of each of its stages."""
    watch = Watch(warmup)
    short = [f"stages.{s.name}.steps={steps}" for s in check(recipe, overrides).recipe.stages if s.steps != 0]
    try:
        train(recipe, [*(short if steps else ()), *overrides], out=out / recipe, device=device, watchers=[watch])
    except (UserError, Interrupted) as error:  # what is not trained far enough may have no mesh
        print(f"  {error}")
    return watch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--device", default="cuda", choices=("cpu", "cuda"))
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--warmup", type=int, default=20)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    folder = options.out or Path(tempfile.mkdtemp())
    print(f"on {torch.cuda.get_device_name() if options.device == 'cuda' else 'the CPU'}, torch {torch.__version__}")
    for recipe in options.recipes:
        watch = measure(recipe, options.overrides, options.device, options.steps, options.warmup, folder)
        for stage, (timed, seconds) in watch.steps.items():
            memory = f", {watch.peak[stage] / 2**20:,.0f} MiB at the peak" if options.device == "cuda" else ""
            print(f"{recipe:16} {stage:12} {1e3 * seconds / timed:9.2f} ms a step over {timed}{memory}", flush=True)


if __name__ == "__main__":
    main()
