"""Any SDF recipe takes the hash grid by one line: it checks, trains its table, and reads back what it saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from known_grids import inside, normal

import neuralfw
from neuralfw.estimate import estimate
from neuralfw.session import check
from neuralfw.testing import build_component

SMALL = [
    "fields.sdf.encoder.type=hash_grid", "fields.sdf.encoder.levels=6", "fields.sdf.encoder.log2_table_size=12",
    "fields.sdf.encoder.finest=128", "fields.sdf.width=32", "fields.sdf.layers=2", "fields.sdf.activation=softplus",
    "stages.fit.train.sdf.lr.start=2e-3", "stages.fit.passes.surface.batch=256", "data.near.batch=128",
    "data.space.batch=128", "log.tensorboard=false", "log.report=false", "export.mesher.resolution=16",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuralfw.run.save_picture", lambda *_: None)


def test_one_line_puts_it_into_a_recipe() -> None:
    checked = check("igr", ["fields.sdf.encoder.type=hash_grid"])
    assert checked.recipe.fields["sdf"].config.encoder.name == "hashgrid/hash_grid"
    found = estimate(checked)
    assert found.parameters["fields.sdf"] > 2 * 6_098_120
    assert found.step["fit"] is not None


def test_a_field_on_it_starts_as_a_sphere() -> None:
    field = build_component("field", "mlp_sdf", {"encoder": "hash_grid", "width": 64, "layers": 2, "radius": 0.6})
    x = normal(200, 3)
    x = x / x.norm(dim=1, keepdim=True) * torch.linspace(0.3, 0.9, 200)[:, None]
    assert (field(x)["sdf"] - (x.norm(dim=1) - 0.6)).abs().max() < 0.08


@pytest.mark.parametrize("active", [None, '{ type = "linear", start = 2, end = 6, until = 30 }'])
def test_it_trains_and_reads_back(tmp_path: Path, active: str | None) -> None:
    coarse_to_fine = [f"fields.sdf.encoder.active_levels={active}"] if active else []
    run = neuralfw.train("igr", [*SMALL, *coarse_to_fine, "stages.fit.steps=60"], out=tmp_path / "run")
    table = run.scene.fields["sdf"].encoder.table
    assert table.abs().max() > 1e-3
    again = neuralfw.open(tmp_path / "run")
    x = np.random.default_rng(0).uniform(-0.5, 0.5, (100, 3))
    assert np.array_equal(run.sdf(x), again.sdf(x))
    assert "backend cpu" in (tmp_path / "run" / "log.txt").read_text()


def test_both_backends_train_alike(tmp_path: Path) -> None:
    values, tables = [], []
    for backend in ("cpu", "torch"):
        options = [*SMALL, f"fields.sdf.encoder.backend={backend}", "stages.fit.steps=5"]
        run = neuralfw.train("igr", options, out=tmp_path / backend)
        values.append(run.sdf(np.random.default_rng(0).uniform(-0.5, 0.5, (100, 3))))
        tables.append(run.scene.fields["sdf"].encoder.table.detach())
    assert np.abs(values[0] - values[1]).max() < 1e-3
    assert tables[1].norm() > 0.02  # it began at 0.01
    assert (tables[0] - tables[1]).norm() < 0.1 * tables[1].norm()


def test_an_eikonal_term_has_one_gradient_on_both_backends() -> None:
    gradients = []
    for backend in ("cpu", "torch"):
        encoder = {"type": "hash_grid", "backend": backend, "levels": 6, "log2_table_size": 12, "finest": 128}
        options = {"encoder": encoder, "width": 16, "layers": 2, "activation": "tanh", "start": "plain"}
        field = build_component("field", "mlp_sdf", options)
        field.encoder.table.data *= 1e3
        gradient = field(inside(300), want=frozenset({"sdf_gradient"}))["sdf_gradient"]
        (gradient.norm(dim=1) - 1.0).square().mean().backward()
        gradients.append([p.grad for p in field.parameters()])
    for found, expected in zip(*gradients, strict=True):
        assert (found - expected).norm() <= 1e-4 * expected.norm()
    assert gradients[1][0].abs().max() > 1e-3
