"""The memory of a step, told beforehand, against what a process really takes."""

import os
import subprocess
import sys

import pytest

RECIPE = """
name = "hungry"
[data.space]
type = "uniform"
size = 1.0
batch = 20000
[fields.sdf]
type = "mlp_sdf"
width = 64
layers = 3
[log]
tensorboard = false
report = false
[[stages]]
name = "fit"
steps = 3
train = ["sdf"]
passes = { space = { data = "space" } }
losses = ["eikonal", "off_surface"]
"""

MEASURE = """
import re, sys
from pathlib import Path
from neuralfw.estimate import estimate
from neuralfw.hooks import hook
from neuralfw.rundir import RunFolder
from neuralfw.session import Session, check

def status(key):
    return int(re.search(rf"{key}:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

class Meter:
    @hook
    def neuralfw_step_end(self, trainer, ctx):
        if trainer.clock.run == 2:
            ctx.begin()
            self.before = status("VmRSS")
            Path("/proc/self/clear_refs").write_text("5")
        if trainer.clock.run == 3:
            self.took = status("VmHWM") - self.before

recipe, folder, *changes = sys.argv[1:]
checked = check(recipe, changes)
told = estimate(checked).step["fit"]
meter = Meter()
session = Session(checked, RunFolder.new("hungry", Path(folder)), "cpu", lambda text: None, [meter])
session.trainer(session.scene()).fit()
print(told, meter.took)
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux's peak of resident memory")
@pytest.mark.parametrize(
    "changes",
    [
        [],
        pytest.param(["fields.sdf.encoder=frequency", "fields.sdf.weight_norm=true"], marks=pytest.mark.slow),
        pytest.param(['stages.fit.losses=["sdf_zero"]'], marks=pytest.mark.slow),
    ],
    ids=["gradients", "encoder", "values alone"],
)
def test_a_step_takes_what_was_told_within_a_fifth(tmp_path, changes):
    recipe = tmp_path / "hungry.toml"
    recipe.write_text(RECIPE)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}  # freed memory goes back
    command = [sys.executable, "-c", MEASURE, str(recipe), str(tmp_path / "run"), *changes]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    told, took = map(int, result.stdout.split())
    assert told == pytest.approx(took, rel=0.2)
