"""Ten scenes that a stranger may play, each typed as one would: the command line in processes of its own."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import trimesh

from neuralfw.geometry import read_mesh, write_mesh
from neuralfw.geometry.mesh import Mesh

ROOT = Path(__file__).resolve().parents[1]
FIRST = ROOT / "tests/fixtures/run_0.1.0"
"""A run of the ball by the first release."""

CENTER, RADIUS = np.array([10.0, -20.0, 30.0]), 2.0
"""Of the ball that all data here show, far from where anything is trained."""

LEARN = ["--set=stages.fit.steps=200", "--set=stages.fit.train={ sdf = { lr = 5e-3 } }"]
Recipe = Callable[..., Path]


def start(*arguments: object, cwd: Path, **variables: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "neuralfw", *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "200", **variables}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=cwd, env=environment, text=True, **pipes)  # type: ignore[call-overload]


def typed(*arguments: object, cwd: Path, status: int = 0, **variables: str) -> str:
    """Type a command; return all that it says."""
    process = start(*arguments, cwd=cwd, **variables)
    out, err = process.communicate(timeout=1200)
    assert process.returncode == status, f"{arguments}\n{out}\n{err}"
    return out + err


def write_ball(path: Path, center: np.ndarray = CENTER) -> None:
    """Write the ball as a mesh."""
    sphere = trimesh.creation.icosphere(subdivisions=3, radius=RADIUS)
    write_mesh(path, np.asarray(sphere.vertices) + center, np.asarray(sphere.faces, np.int64))


def distance(mesh: Mesh, center: np.ndarray = CENTER) -> float:
    """Return how far the vertices of a mesh lie from the ball's surface, at the mean, in radii."""
    return float(np.abs(np.linalg.norm(mesh.vertices - center, axis=1) / RADIUS - 1.0).mean())


def test_1_a_bare_laptop_without_compiler_runs_the_sphere_and_has_its_mesh(tiny_recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "path"
    path.mkdir()
    (path / "python").symlink_to(sys.executable)
    bare = {"PATH": str(path), "CUDA_VISIBLE_DEVICES": "", "CC": "/none", "CXX": "/none"}
    typed("run", tiny_recipe(), *LEARN, "--out", "sphere", cwd=tmp_path, **bare)
    assert distance(read_mesh(tmp_path / "sphere/meshes/mesh.ply")) < 0.1
    assert (tmp_path / "sphere/images/mesh.png").is_file()


def test_2_two_slips_are_both_told_with_their_lines_within_a_second_and_without_torch(
    tiny_recipe: Recipe, tmp_path: Path
) -> None:
    recipe = tiny_recipe()
    recipe.write_text(recipe.read_text().replace("width  = 16", "widht  = 16").replace('"uniform"', '"unifrom"'))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = typed("run", recipe, cwd=tmp_path, status=2, PYTHONPROFILEIMPORTTIME="1")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    lines = recipe.read_text().splitlines()
    for slip, meant in (("widht", "width"), ("unifrom", "uniform")):
        (number,) = [n for n, line in enumerate(lines, 1) if slip in line]
        assert re.search(rf"{recipe.name}:{number}:.*\n(.*\n)*?.*closest: .*{meant}", told)
    assert "2 faults" in told and seconds < 1.0
    assert not re.search(r"\| +torch$", told, re.MULTILINE)


def test_3_fourier_gives_way_to_a_hash_grid_by_one_table(tiny_recipe: Recipe, tmp_path: Path) -> None:
    tables = [f'\n[fields.sdf.encoder]\ntype = "{name}"\n' for name in ("frequency", "hash_grid")]
    for name, table in zip(("fourier", "hash"), tables, strict=True):
        typed("run", tiny_recipe(table, name=name), "--out", name, cwd=tmp_path)
        assert len(read_mesh(tmp_path / name / "meshes/mesh.ply").faces) > 0
        assert table.split('"')[1] in (tmp_path / name / "recipe.toml").read_text()


EDIT = """\
        own, squares = g.chunk(2, dim=1)
        return own + 2.0 * self._scale * squares * x
"""


@pytest.mark.slow
def test_4_a_new_plugin_is_listed_run_and_checked_after_ten_lines_of_editing(
    tiny_recipe: Recipe, tmp_path: Path
) -> None:
    typed("plugin", "new", "doubled", "--kind", "encoder", "--out", "nfw-doubled", cwd=tmp_path)
    package, site = tmp_path / "nfw-doubled", tmp_path / "site"
    (code,) = package.rglob("encoder.py")
    edited = code.read_text().replace("x * x.roll(-1, dims=1)], dim=1)", "x.square()], dim=1)")
    back = edited.index("        own, products")
    code.write_text(f"{edited[:back]}{EDIT}")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        site,
        package,
    ]
    subprocess.run([*map(str, pip)], check=True)
    found = {"PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}
    assert "doubled" in typed("list", "encoder", cwd=tmp_path, **found)
    typed("run", tiny_recipe(), "--set", "fields.sdf.encoder=doubled", "--out", "run", cwd=tmp_path, **found)
    assert 'type = "doubled/doubled"' in (tmp_path / "run/recipe.toml").read_text()
    assert ", 0 failed" in typed("plugin", "check", "nfw-doubled", cwd=tmp_path, **found)


@pytest.mark.parametrize("harm", ["its package is gone", "it fails when it is imported", "its manifest is torn"])
def test_5_a_broken_plugin_breaks_nothing_else(harm: str, tiny_recipe: Recipe, tmp_path: Path) -> None:
    package, facts = tmp_path / "site/nfw_broken", tmp_path / "site/nfw_broken-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: nfw-broken\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[neuralfw]\nbroken = nfw_broken\n")
    if harm != "its package is gone":
        package.mkdir()
        (package / "__init__.py").write_text("raise RuntimeError('as a missing CUDA package does')\n")
        torn = 'api = 1\nowner = "broken"\nhooks = "nfw_broken.hooks"\n'
        (package / "neuralfw.toml").write_text(torn if "imported" in harm else torn[:-10])
    found = {"PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])}
    told = typed("run", tiny_recipe(), "--out", "run", cwd=tmp_path, **found)
    assert "nfw-broken: " in told and (tmp_path / "run/meshes/mesh.ply").is_file()


@pytest.mark.slow
def test_6_killed_and_resumed_it_ends_byte_for_byte_as_if_nothing_had_been(tiny_recipe: Recipe, tmp_path: Path) -> None:
    recipe = tiny_recipe("\n[checkpoint]\nevery = 7\n")
    recipe.write_text(recipe.read_text().replace("steps  = 4", "steps  = 600").replace("batch = 64", "batch = 512"))
    typed("run", recipe, "--out", "whole", cwd=tmp_path)
    process = start("run", recipe, "--out", "killed", cwd=tmp_path)
    saved, step = tmp_path / "killed/checkpoints/latest", np.random.default_rng().integers(10, 300)
    while process.poll() is None and (not saved.exists() or int(saved.read_text().split("-")[1]) < step):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it was finished before it could be killed"
    typed("resume", "killed", cwd=tmp_path)
    assert files(tmp_path / "whole") == files(tmp_path / "killed")


def files(run: Path) -> Mapping[str, bytes]:
    """Return what a run ends with: weights and optimisers of its newest checkpoint, and its mesh."""
    newest = run / "checkpoints" / (run / "checkpoints/latest").read_text().strip()
    found = {path.name: path.read_bytes() for path in newest.glob("*.safetensors")}
    assert len(found) >= 2
    return {**found, "mesh": (run / "meshes/mesh.ply").read_bytes()}


@pytest.mark.slow
@pytest.mark.parametrize("method", ["igr", "neus_hash", "velocity"])
def test_7_one_command_exports_every_method_onto_its_data(method: str, tmp_path: Path) -> None:
    write_ball(tmp_path / "ball.ply")
    settings = {"igr": ["data.points.path=ball.ply"], "neus_hash": ["data.images.path=photographs"]}
    settings["velocity"] = ["data.pair.source=ball.ply", "data.pair.target=moved.ply"]
    if method == "neus_hash":
        typed("data", "convert", "ball.ply", "photographs", "--views", "8", "--size", "48", cwd=tmp_path)
    if method == "velocity":
        write_ball(tmp_path / "moved.ply", CENTER + np.array([0.0, 0.2, 0.0]))
    recipe = ROOT / f"recipes/matrix/{method}.toml"
    typed("run", recipe, *(f"--set={s}" for s in settings[method]), "--out", "run", cwd=tmp_path)
    shutil.rmtree(tmp_path / "run/meshes")
    typed("export", "run", "--resolution", "32", cwd=tmp_path)
    first = min(tmp_path.glob("run/meshes/mesh*.ply"))
    assert distance(read_mesh(first)) < 0.3


@pytest.mark.slow
def test_8_evaluated_twice_it_says_the_same_with_unit_and_definition(tmp_path: Path) -> None:
    write_ball(tmp_path / "ball.ply")
    told = []
    for place in ("here", "there"):
        shutil.copytree(FIRST, tmp_path / place / "run")
        told.append(typed("eval", "run", "--reference", tmp_path / "ball.ply", "--json", cwd=tmp_path / place))
    assert told[0] == told[1]
    figures = json.JSONDecoder().raw_decode(told[0])[0]["metrics"]
    assert all(figure["unit"] and figure["definition"] for figure in figures.values())
    assert figures["chamfer"]["value"] < 0.1 * RADIUS


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight photographs of the ball to train on and one held out, without a fault."""
    folder = tmp_path_factory.mktemp("scene")
    write_ball(folder / "ball.ply")
    typed("data", "convert", "ball.ply", "photographs", "--views", "8", "--size", "48", cwd=folder)
    assert "FAULT" not in typed("data", "inspect", "photographs", cwd=folder)
    return folder / "photographs"


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        ("an axis is flipped", "FAULT"),
        ("a mask shows nothing", "1 of 9 masks show no object"),
        (
            "a photograph is missing",
            "1 of 8 frames of transforms_train.json have no image and are skipped: ./train/000",
        ),
        ("the scale of the cameras is wrong", "FAULT"),
    ],
)
def test_9_data_inspect_names_what_is_wrong_with_a_data_set(
    harm: str, told: str, photographs: Path, tmp_path: Path
) -> None:
    scene = tmp_path / "photographs"
    shutil.copytree(photographs, scene)
    table = json.loads((scene / "transforms_train.json").read_text())
    poses = [np.array(frame["transform_matrix"]) for frame in table["frames"]]
    if harm == "an axis is flipped":
        poses = [pose @ np.diag([1.0, -1.0, -1.0, 1.0]) for pose in poses]
    if "scale" in harm:
        for pose in poses:
            pose[:3, 3] *= 0.1
    for frame, pose in zip(table["frames"], poses, strict=True):
        frame["transform_matrix"] = pose.tolist()
    (scene / "transforms_train.json").write_text(json.dumps(table))
    if "mask" in harm:
        from PIL import Image

        Image.new("RGBA", (48, 48)).save(scene / "train/000.png")
    if "missing" in harm:
        (scene / "train/000.png").unlink()
    assert told in typed("data", "inspect", scene, cwd=tmp_path, status=0 if "skipped" in told else 2)


def test_10_a_run_of_the_first_release_opens(tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(FIRST, run)
    typed("export", run, "--resolution", "24", "-o", "mesh.ply", cwd=tmp_path)
    assert distance(read_mesh(tmp_path / "mesh.ply")) < 0.1
    assert "finished" in typed("resume", run, cwd=tmp_path)
