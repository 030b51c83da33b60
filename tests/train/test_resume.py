"""N + M steps equal N steps, a kill, a resume and M steps: weights, running means, metrics and mesh, bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuralfw.session import train

from .conftest import Write, assert_same_run, killed_and_resumed, metrics

DATA = """
[data.items]
type = "items"
items = 20
[fields.sdf]
type = "ball"
"""

SHAPES = {
    "stages_and_schedules": DATA
    + """
[fields.dots]
type = "dots"
[[stages]]
name = "first"
steps = 5
train = { sdf = { lr = { type = "cosine", start = 0.1, warmup = 2 } } }
passes = { samples = { data = "items" } }
losses = [{ type = "sdf_regression", on = "samples", weight = { type = "linear", start = 0.0, end = 1.0, until = "1 epochs" } }]
[[stages]]
name = "second"
steps = "2 epochs"
train = { sdf = { lr = { type = "steps", start = 0.1, every = 3, factor = 0.5, clock = "own" } }, dots = {} }
passes = { samples = { data = "items" } }
losses = [{ type = "sdf_regression", on = "samples", weight = { type = "exponential", start = 1.0, end = 0.1, clock = "run" } }, { type = "gather", on = "dots" }]
[[stages]]
name = "third"
steps = 4
fresh = true
train = { sdf = { lr = { type = "linear", start = 0.1, end = 0.0, until = 4, clock = "samples" } }, dots = { type = "sparse_adam" } }
passes = { samples = { data = "items" } }
losses = [{ type = "sdf_regression", on = "samples", power = 2 }, { type = "gather", on = "dots", to = ["dots.place"] }]
""",
    "passes": DATA
    + """
[fields.shade]
type = "shade"
[[stages]]
name = "fit"
steps = 12
accumulate = 2
clip = 0.5
train = ["sdf", "shade"]
passes = { samples = { data = "items", batch = 4 }, often = { data = "items", batch = 5, repeat = 3 }, seldom = { data = "items", every = 4, offset = 1 }, reader = { data = "samples", renderer = "pull", detach = ["sdf.center"] }, shades = { data = "reader", renderer = "shade", detach = ["sdf"] } }
losses = [
  { type = "sdf_regression", on = ["samples", "seldom"] },
  { type = "sdf_regression", name = "late", on = "often", from = 3, until = 9, weight = 0.3 },
  { type = "sdf_zero", on = "reader", to = ["sdf.radius"], weight = 0.1 },
  { type = "shade", on = "shades" },
]
""",
    "validation": DATA
    + """
[validation]
every = 2
batches = 2
patience = 2
[[stages]]
name = "stops_early"
steps = 40
train = { sdf = { lr = 0.3 } }
passes = { samples = { data = "items" } }
losses = [{ type = "sdf_regression", on = "samples" }]
[[stages]]
name = "after"
steps = 5
train = { sdf = { lr = 1e-3 } }
passes = { samples = { data = "items" } }
losses = [{ type = "sdf_regression", on = "samples" }]
""",
    "surgery_and_snapshots": DATA
    + """
[fields.dots]
type = "dots"
count = 7
[data.near]
type = "near_dots"
[[stages]]
name = "fit"
steps = 13
train = { sdf = {}, dots = {} }
passes = { samples = { data = "items" }, near = { data = "near" } }
losses = [{ type = "sdf_regression", on = "samples" }, { type = "sdf_zero", on = "near", weight = 0.1 }, { type = "gather", on = "dots" }]
callbacks = [{ type = "split", every = 3 }, { type = "tally" }, { type = "split", name = "last", at = "end" }]
[[stages]]
name = "again"
steps = 5
train = { sdf = {}, dots = { type = "adam", weight_decay = 0.1, decoupled = true } }
passes = { samples = { data = "items" }, near = { data = "near" } }
losses = [{ type = "sdf_regression", on = "samples" }, { type = "sdf_zero", on = "near", weight = 0.1 }, { type = "gather", on = "dots" }]
callbacks = [{ type = "tally", every = 2 }]
""",
    "dropout_and_time": """
[data.items]
type = "items"
timed = true
[fields.sdf]
type = "mlp_sdf"
width = 8
layers = 2
dropout = 0.3
time = "raw"
encoder = { type = "frequency", bands = 2, active = { type = "linear", start = 0.0, end = 2.0, until = 6 } }
[[stages]]
name = "random"
steps = 6
train = ["sdf"]
passes = { samples = { data = "items" } }
losses = [{ type = "sdf_regression", on = "samples" }, { type = "eikonal", on = "samples" }]
[[stages]]
name = "cycle"
steps = 5
time = "cycle"
train = ["sdf"]
passes = { samples = { data = "items" }, middle = { data = "items", time = 0.5 } }
losses = [{ type = "sdf_regression", on = ["samples", "middle"] }]
""",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_resume_is_exact(shape: str, recipe: Write, tmp_path: Path) -> None:
    path = recipe(SHAPES[shape])
    whole = train(path, out=tmp_path / "whole")
    last = metrics(whole)[-1]["step"]
    broken = killed_and_resumed(path, tmp_path / "broken", 5, 6, 7, last - 1)
    assert_same_run(whole, broken)
