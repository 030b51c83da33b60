"""Runs every figure of tools/figures.toml that is not done yet, and writes the table into its page.

A figure is a recipe run on real data (over seeds), a measure, and a bound; `runs_of` measures another figure's runs,
`from` starts from them, and `make` writes a scene of its own for them. {shared}, {scenes} and {seed} stand for what
they say. Results lie in figures/, one folder a figure; a figure is done again only when its entry changed. An
interrupted run is resumed. Tables of recipes x scenes x seeds by named protocols are `neuralfw bench grid`'s; what
stands here is single figures with measures and bounds of their own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from neuralfw.data.images import Images

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "figures"
SHARED = Path(os.environ.get("NEURALFW_SHARED_DATA", ROOT / "../shared/data")).resolve()
MADE = ("cameras.npz", "transforms_train.json", "two_spheres/0008.ply", "torus/matches.txt")
"""One of these is there when a scene has been made."""

START, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def neuralfw(*arguments: str) -> None:
    """Run the command line; a failure ends the figure."""
    subprocess.run([sys.executable, "-m", "neuralfw", *arguments], check=True, cwd=ROOT)


def filled(entry: Any, seed: int) -> Any:
    """Return an entry, or a part of one, with the folders and the seed that its texts name."""
    if isinstance(entry, dict):
        return {key: filled(value, seed) for key, value in entry.items()}
    if isinstance(entry, list):
        return [filled(value, seed) for value in entry]
    if isinstance(entry, str):
        for name, value in (("shared", SHARED), ("scenes", RESULTS / "scenes"), ("seed", seed)):
            entry = entry.replace(f"{{{name}}}", str(value))
    return entry


def make(figure: dict[str, Any]) -> None:
    """Write the scene of a figure, the first path among the words of its command, unless it is there."""
    words = figure.get("make", [])
    folder = next((Path(word) for word in words if word.startswith(str(RESULTS))), None)
    if folder is not None and not any((folder / name).exists() for name in MADE):
        subprocess.run([sys.executable, *words], check=True, cwd=ROOT)


def train(figure: dict[str, Any], seed: int, folder: Path) -> None:
    """Train one seed into a folder, or go on where it was interrupted."""
    if any(folder.glob("meshes/mesh*.ply")) or (folder / "eval/views.json").exists():
        return
    if (folder / "checkpoints/latest").exists():
        neuralfw("resume", str(folder))
        return
    shutil.rmtree(folder, ignore_errors=True)
    make(figure)
    settings = [f"seed={seed}", *figure.get("set", [])]
    neuralfw("run", figure["recipe"], "--out", str(folder), *(f"--set={s}" for s in settings), *origin(figure, seed))


def origin(figure: dict[str, Any], seed: int) -> list[str]:
    """Return the option that starts from the run of another figure, `from = "name"` or "name:field"; it is trained."""
    if "from" not in figure:
        return []
    name, colon, field = figure["from"].partition(":")
    folder = RESULTS / name / f"seed-{seed}"
    train(filled(named()[name], seed), seed, folder)
    return [f"--from={folder}{colon}{field}"]


def protocol(run: Path, figure: dict[str, Any]) -> float:
    """A figure of a named protocol, against a reference where it needs one."""
    name, key = figure["protocol"], figure["key"]
    reference = ["--reference", figure["reference"]] if "reference" in figure else []
    neuralfw("eval", str(run), "--protocol", name, *reference)
    return float(json.loads((run / f"eval/{name}.json").read_text())["metrics"][key]["value"])


def radius_error(run: Path, figure: dict[str, Any]) -> float:
    """Mean deviation of the mesh from the unit sphere about the origin, over samples uniform by area."""
    from neuralfw.geometry import read_mesh, sample_surface

    points, _ = sample_surface(read_mesh(run / "meshes/mesh.ply"), 200_000, np.random.default_rng(0))
    return float(np.abs(np.linalg.norm(points, axis=1) - 1.0).mean())


def coverage(run: Path, figure: dict[str, Any]) -> float:
    """Share of the raw input points within 1 % of their diagonal of the mesh, both in world coordinates."""
    from neuralfw.geometry import clean, point_to_mesh_distance, read_mesh, read_point_cloud

    points = clean(read_point_cloud(figure["points"])).points
    distance = point_to_mesh_distance(points, read_mesh(run / "meshes/mesh.ply"))
    diagonal = np.linalg.norm(points.max(axis=0) - points.min(axis=0))
    return float((distance <= 0.01 * diagonal).mean())


def views(run: Path, figure: dict[str, Any]) -> float:
    """A figure of the photographs held out, which every run with some writes at its end."""
    return float(json.loads((run / "eval/views.json").read_text())["metrics"][figure["key"]]["value"])


def reference_points(run: Path, figure: dict[str, Any]) -> float:
    """A percentile of the distances from reference points to the mesh, world units.

    benchmarks/reference_points.py makes the points once: figures/reference_points.ply.
    """
    from neuralfw.geometry import point_to_mesh_distance, read_mesh, read_point_cloud

    points = read_point_cloud(RESULTS / "reference_points.ply").points
    distance = point_to_mesh_distance(points, read_mesh(run / "meshes/mesh.ply"))
    return float(np.percentile(distance, figure["percentile"]))


def photographs(run: Path) -> Images:
    """The posed photographs of a run."""
    from neuralfw.data.images import Images
    from neuralfw.run import Run

    images = Run(run).data("images")
    assert isinstance(images, Images)
    return images


def withheld_points(run: Path, figure: dict[str, Any]) -> float:
    """Share of the COLMAP points withheld from the start that lie within 0.5 % of all points' diagonal of the mesh."""
    from neuralfw.geometry import point_to_mesh_distance, read_mesh

    images = photographs(run)
    assert images.capture.points is not None and images.withheld is not None
    points = images.capture.points.points
    diagonal = np.linalg.norm(points.max(axis=0) - points.min(axis=0))
    withheld = images.frame.to_world(images.withheld.double().numpy())
    return float((point_to_mesh_distance(withheld, read_mesh(run / "meshes/mesh.ply")) <= 0.005 * diagonal).mean())


def observed_pixels(run: Path, figure: dict[str, Any]) -> float:
    """Share of the pixels at which COLMAP observed a point that the mesh covers."""
    from neuralfw.geometry import read_mesh
    from neuralfw.raster import silhouette

    images = photographs(run)
    mesh, tracks = read_mesh(run / "meshes/mesh.ply"), images.capture.tracks
    assert tracks is not None
    covered = []
    for index, view in enumerate(images.views):
        column, row = tracks.pixels[tracks.view == index].astype(int).T
        inside = (column >= 0) & (row >= 0) & (column < view.camera.width) & (row < view.camera.height)
        covered.append(silhouette(mesh, view.camera)[row[inside], column[inside]])
    return float(np.concatenate(covered).mean())


def ray_distance(run: Path, figure: dict[str, Any]) -> float:
    """A percentile, over the diagonal of the object, of the error of distance along the ray of the mesh.

    The truth are the depth maps of the reduced NeRF-synthetic test views: v > 0 means 8 (1 - v/255) from the camera.
    They show every second pixel of the originals, so their centres lie a quarter of a pixel up and left. All pixels
    with v > 0 count; a miss is infinite.
    """
    from PIL import Image

    from neuralfw.geometry import read_mesh
    from neuralfw.photos.sniff import read_capture
    from neuralfw.raster import ray_distance

    mesh, capture = read_mesh(run / "meshes/mesh.ply"), read_capture(Path(figure["scene"]))
    errors = []
    for view in (capture.views[index] for index in capture.split["test"]):
        (file,) = view.image.parent.glob(f"{view.image.stem}_depth_*.png")
        stored = np.asarray(Image.open(file).convert("RGB"))[..., 0].astype(float)
        camera = replace(view.camera, cx=view.camera.cx + 0.25, cy=view.camera.cy + 0.25)
        errors.append(np.abs(ray_distance(mesh, camera) - 8.0 * (1.0 - stored / 255.0))[stored > 0])
    return float(np.percentile(np.concatenate(errors) / figure["diagonal"], figure["percentile"], method="higher"))


def flat_color(run: Path, figure: dict[str, Any]) -> float:
    """PSNR of one colour over the mask of photographs held out: the mean of all pixels of the object trained on."""
    from neuralfw.metrics.images import psnr

    images = photographs(run)
    seen = {name: [images.view_batch(i) for i in images.members(name)] for name in ("train", "test")}
    objects = {name: [(b["rgb"][0], b["mask"][0] > 0.5) for b in batches] for name, batches in seen.items()}
    mean = np.concatenate([rgb[mask].numpy() for rgb, mask in objects["train"]]).mean(axis=0)
    return statistics.fmean(psnr(rgb.new_tensor(mean).expand_as(rgb), rgb, mask) for rgb, mask in objects["test"])


def numbers(found: Any, path: str) -> list[float]:
    """Return what a path of keys leads to: one number, or one of each entry of a list on the way."""
    for name in path.split("."):
        found = [entry[name] for entry in found] if isinstance(found, list) else found[name]
    return found if isinstance(found, list) else [found]


def deform(run: Path, figure: dict[str, Any]) -> float:
    """A figure of the verb `deform`, its sign left out: the largest where there are many, as of true frames between.

    `others` are figures whose runs count as well; with them or with `over`, a figure that it is divided by, it is of
    the mean.
    """
    known = named()
    values, under = [], []
    for name in (figure["name"], *figure.get("others", [])):
        entry = filled(known[name], 0)
        folder = run if name == figure["name"] else RESULTS / entry.get("runs_of", name) / run.name
        told = ["--times=1", *(f"--between={frame}" for frame in entry.get("between", []))]
        stamp = folder / "eval/deformation.args"
        if not stamp.exists() or not {*told} <= {*stamp.read_text().splitlines()}:
            neuralfw("deform", str(folder), *told)
            stamp.write_text("\n".join(told))
        found = json.loads((folder / "eval/deformation.json").read_text())
        values += numbers(found, figure["key"])
        under += numbers(found, figure["over"]) if "over" in figure else []
    if under or "others" in figure:
        return abs(statistics.fmean(values)) / (statistics.fmean(under) if under else 1.0)
    return max(map(abs, values))


def zero_sets(run: Path, figure: dict[str, Any]) -> float:
    """Worst Chamfer distance / diagonal, per cent, at the times that the true meshes in `folder` are named by."""
    from neuralfw.geometry import read_mesh
    from neuralfw.metrics import evaluate_surface
    from neuralfw.run import Run

    opened = Run(run)
    errors = []
    for path in sorted(Path(figure["folder"]).glob("*.ply")):
        found = evaluate_surface(opened.mesh(t=float(path.stem)), read_mesh(path))["metrics"]
        errors.append(100.0 * float(found["chamfer_over_diagonal"]["value"]))
    return max(errors)


def parts(run: Path, figure: dict[str, Any]) -> float:
    """Share of 21 times at which the surface is a torus, one body without a hole, or two."""
    from neuralfw.geometry.topology import topology
    from neuralfw.run import Run

    opened = Run(run)
    found = [topology(opened.mesh(t=float(t))) for t in np.linspace(0.0, 1.0, 21)]
    return statistics.fmean((seen.components, seen.genus) in ((1, 1), (1, 0), (2, 0)) for seen in found)


MEASURES: dict[str, Callable[[Path, dict[str, Any]], float]] = {
    "protocol": protocol,
    "radius_error": radius_error,
    "coverage": coverage,
    "views": views,
    "reference_points": reference_points,
    "withheld_points": withheld_points,
    "observed_pixels": observed_pixels,
    "ray_distance": ray_distance,
    "flat_color": flat_color,
    "deform": deform,
    "zero_sets": zero_sets,
    "parts": parts,
}


def reach(figure: dict[str, Any]) -> dict[str, Any]:
    """Run a figure over its seeds and return what was reached."""
    from neuralfw.bench.cell import trained_seconds

    folder = RESULTS / figure.get("runs_of", figure["name"])
    values, times = [], []
    for seed in figure.get("seeds", [0]):
        run, entry = folder / f"seed-{seed}", filled(figure, seed)
        train(entry, seed, run)
        values.append(MEASURES[figure["measure"]](run, entry))
        times.append(trained_seconds(run))
    return {"value": statistics.fmean(values), "values": values, "minutes": max(times) / 60.0}


def key(figure: dict[str, Any]) -> str:
    """Digest of all that decides a figure: its entry and the recipe's text."""
    recipe = (ROOT / "recipes" / f"{figure['recipe']}.toml").read_text()
    return hashlib.sha256((json.dumps(figure, sort_keys=True) + recipe).encode()).hexdigest()


def done(figure: dict[str, Any]) -> dict[str, Any] | None:
    """Return a finished figure's result; what an older entry left behind is removed."""
    folder = RESULTS / figure["name"]
    stamp = folder / "key"
    if stamp.exists() and stamp.read_text() != key(figure):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stamp.write_text(key(figure))
    result = folder / "result.json"
    return json.loads(result.read_text()) if result.exists() else None


def row(figure: dict[str, Any], result: dict[str, Any]) -> str:
    """Return a line of the table."""
    value, bound, lower = result["value"], figure.get("bound"), figure.get("better", "lower") == "lower"
    seeds = ", ".join(f"{v:.4g}" for v in result["values"]) if len(result["values"]) > 1 else ""
    held = "" if bound is None else "yes" if (value <= bound if lower else value >= bound) else "**no**"
    wanted = "" if bound is None else f"{'≤' if lower else '≥'} {bound:g}"
    time = f"{result['minutes']:.1f}" + (f" (≤ {figure['minutes']})" if "minutes" in figure else "")
    command = f"`{figure['recipe']}`"
    return f"| {figure['text']} | {command} | {value:.4g} | {seeds} | {wanted} | {held} | {time} |"


def write_table(page: Path, rows: list[str]) -> None:
    """Put the table between its marks in a page."""
    head = "| figure | recipe | reached | by seed | bound | held | minutes |\n|---|---|---|---|---|---|---|\n"
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{START}\n{head}{chr(10).join(rows)}\n{END}{after}", encoding="utf-8")


def entries() -> dict[str, list[dict[str, Any]]]:
    """Return the figures of each page; one that measures another's runs has its recipe, settings and seeds."""
    pages: dict[str, list[dict[str, Any]]] = tomllib.loads((ROOT / "tools/figures.toml").read_text())
    read = {figure["name"]: figure for figures in pages.values() for figure in figures}

    def whole(figure: dict[str, Any]) -> dict[str, Any]:
        runs = read[figure["runs_of"]] if "runs_of" in figure else {}
        return {k: runs[k] for k in ("recipe", "from", "set", "seeds", "make") if k in runs} | figure

    return {page: [whole(figure) for figure in figures] for page, figures in pages.items()}


def named() -> dict[str, dict[str, Any]]:
    """Return all figures by their names."""
    return {figure["name"]: figure for figures in entries().values() for figure in figures}


def main() -> None:
    """Run what is missing, or only write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only these figures")
    parser.add_argument("--table", action="store_true", help="run nothing, write the tables of what is done")
    arguments = parser.parse_args()
    for page, figures in entries().items():
        rows = []
        for figure in figures:
            result = done(figure)
            wanted = not arguments.names or figure["name"] in arguments.names
            if result is None and wanted and not arguments.table:
                result = reach(figure)
                (RESULTS / figure["name"] / "result.json").write_text(json.dumps(result, indent=2))
            if result is not None:
                rows.append(row(figure, result))
        if rows:
            write_table(ROOT / page, rows)


if __name__ == "__main__":
    main()
