"""Two processes that average their gradients do what one does with the batches of both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from neuralfw.hooks import hook_manager
from neuralfw.rundir import RunFolder
from neuralfw.scene import Scene
from neuralfw.session import check
from neuralfw.training.checkpoint import Store
from neuralfw.training.log import RunLog
from neuralfw.training.step import StepContext
from neuralfw.training.trainer import Trainer

from .conftest import Write, metrics

FIT = """
[data.items]
type = "items"
twice = {twice}
[fields.sdf]
type = "ball"
[fields.dots]
type = "dots"
[[stages]]
name = "fit"
steps = 4
accumulate = 2
clip = 0.3
train = {{ sdf = {{ lr = 0.05 }}, "dots.place" = {{ type = "sparse_adam" }} }}
passes = {{ samples = {{ data = "items" }} }}
losses = [{{ type = "sdf_regression", on = "samples", power = 2 }}, {{ type = "gather", on = "dots" }}]
"""


def fit(fabric: Fabric, recipe: Path, out: Path) -> None:
    """Train in this process, one of several, and write down what it ended with."""
    torch.set_num_threads(1)
    checked = check(recipe)
    folder = RunFolder(out)
    scene = Scene(checked.recipe, checked.registry, torch.device("cpu")).build()
    log = RunLog(folder.root, tensorboard=False)
    trainer = Trainer(
        scene, checked.recipe, checked.plan, Store(folder.checkpoints), log, hook_manager(checked.registry), fabric
    )
    drawn: list[float] = []
    trainer.hooks.register(_watch(drawn))
    trainer.fit()
    ended = [p.detach().numpy().ravel() for p in scene.parameters()]
    np.savez(out / f"rank{fabric.global_rank}.npz", ended=np.concatenate(ended), drawn=np.array(drawn))


def _watch(drawn: list[float]) -> object:
    from neuralfw.hooks import hook

    class Watch:
        @hook
        def neuralfw_step_end(self, trainer: Any, ctx: StepContext) -> None:
            drawn.append(float(ctx.results["samples"].batch["points"].sum()))

    return Watch()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_two_processes_equal_one_with_the_double_batch(recipe: Write, tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    (tmp_path / "one").mkdir()
    pair = Fabric(accelerator="cpu", devices=2, strategy="ddp_fork")
    pair.launch(fit, recipe(FIT.format(twice="false")), tmp_path / "two")
    fit(Fabric(accelerator="cpu", devices=1), recipe(FIT.format(twice="true")), tmp_path / "one")

    ranks = [np.load(tmp_path / f"two/rank{r}.npz") for r in range(2)]
    single = np.load(tmp_path / "one/rank0.npz")
    np.testing.assert_array_equal(ranks[0]["ended"], ranks[1]["ended"])
    np.testing.assert_allclose(ranks[0]["ended"], single["ended"], atol=2e-6)
    assert (abs(ranks[0]["drawn"] - ranks[1]["drawn"]) > 1e-3).all(), "two ranks draw differently"
    np.testing.assert_allclose(ranks[0]["drawn"] + ranks[1]["drawn"], single["drawn"], atol=1e-4)
    assert [line["step"] for line in metrics(tmp_path / "two")] == [1, 2, 3, 4], "only one process writes"
