"""The table of docs/looking.md: which verb works on a run of which method. NEURALFW_UPDATE_SNAPSHOTS=1 writes it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

import neuralfw
from neuralfw.cli import app
from neuralfw.run import Run
from neuralfw.viewer.contents import Contents
from neuralfw.viewer.viewer import Viewer

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/looking.md"
BEGIN, END = "<!-- verbs: written by tests/test_verbs.py -->", "<!-- end of the verbs -->"
MATRIX = "recipes/matrix"

PHOTOGRAPHS = ["data.images.max_size=40", "export.mesher.resolution=24", "export.colors=false"]
METHODS = {
    "igr": (f"{MATRIX}/igr.toml", ["stages.fit.steps=4"]),
    "deepsdf_class": (f"{MATRIX}/deepsdf_class.toml", ["stages.decoder.steps=4"]),
    "lipmlp": ("lipmlp", ["fields.sdf.width=16", "fields.sdf.layers=2", "stages.fit.steps=2", "fields.sdf.start=sphere",
                          "export.mesher.resolution=16"]),
    "gaussians_3d": ("gaussians_3d", ["data.images.max_size=40", "stages.appearance.steps=4"]),
    "gs_pull": (f"{MATRIX}/gs_pull.toml", ["data.images.max_size=40", "stages.appearance.steps=4",
                                           "stages.geometry.steps=4"]),
    "idr": ("idr", ["fields.sdf.width=32", "fields.sdf.layers=2", "fields.sdf.skip=[]", "fields.color.width=16",
                    "stages.fit.steps=2", "stages.fit.passes.pixels.rays=16", "data.space.batch=16", *PHOTOGRAPHS]),
    "neus_hash": (f"{MATRIX}/neus_hash.toml", ["stages.fit.steps=2", *PHOTOGRAPHS]),
    "nie": (f"{MATRIX}/nie.toml", ["stages.hull.steps=2", "stages.evolve.steps=2", *PHOTOGRAPHS]),
    "n4de": (f"{MATRIX}/n4de.toml", ["stages.hull.steps=2", "stages.evolve.steps=2", *PHOTOGRAPHS]),
    "velocity": (f"{MATRIX}/velocity.toml", ["stages.velocity.steps=2", "stages.implicit.steps=2",
                                             "data.pair.samples=300"]),
}  # fmt: skip
"""A small run of each method: its recipe, and what makes it short."""

VERBS = ("resume", "eval", "export", "render", "report", "compare", "view")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("verbs")
    found = {}
    for name, (recipe, overrides) in METHODS.items():
        given = ROOT / recipe if recipe.endswith(".toml") else recipe
        short = [*overrides, "log.tensorboard=false", "log.report=false", "evaluate.views=false"]
        found[name] = neuralfw.train(given, short, out=folder / name, device="cpu").folder.root
    return found


def works(verb: str, run: Path, other: Path) -> str:
    """Return "" if a verb works on a run, or what it says."""
    small = {"render": ["--frames=2", "--size=24"], "compare": [str(other), f"--html={run / 'compare.html'}"]}
    shape = Run(run).shapes[:1] if len(Run(run).shapes) > 1 else []
    shaped = [f"--shape={name}" for name in shape] if verb in ("eval", "render") else []
    done = CliRunner().invoke(app, [verb, str(run), *small.get(verb, []), *shaped])
    assert done.exit_code in (0, 2), f"{verb} {run}\n{done.output}\n{done.exception!r}"
    return "" if done.exit_code == 0 else done.stderr.strip().splitlines()[-1]


def table(runs: dict[str, Path]) -> str:
    """Return the table, with what a verb says where it does not work."""
    rows, notes = [], []
    for name, run in runs.items():
        cells = []
        for verb in VERBS:
            said = ""
            if verb == "view":
                with Viewer(Contents(Run(run), resolution=16)) as viewer:
                    assert viewer.parts
            else:
                said = works(verb, run, next(other for other in runs.values() if other != run))
            cells.append("yes" if not said else "no")
            notes += [f"- `{verb}` of `{name}`: {said.replace(str(run), 'RUN')}"] if said else []
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
    head = [f"| run of | {' | '.join(f'`{verb}`' for verb in VERBS)} |", f"|---|{'---|' * len(VERBS)}"]
    return "\n".join([*head, *rows, *(["", *notes] if notes else [])])


@pytest.mark.slow
def test_each_verb_on_a_run_of_each_method(runs: dict[str, Path]) -> None:
    pytest.importorskip("viser", reason="viser is not installed: pip install 'neuralfw[viewer]'")
    found = table(runs)
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    shown, _, after = rest.partition(END)
    if os.environ.get("NEURALFW_UPDATE_SNAPSHOTS"):
        PAGE.write_text(f"{before}{BEGIN}\n\n{found}\n\n{END}{after}", encoding="utf-8")
        return
    assert shown.strip() == found
