"""Ways from the same photographs to a mesh: both published forms of GS-Pull, ours, and two baselines on our Gaussians.

    python benchmarks/gs_pull_forms.py SCENE OUT [--set KEY=VALUE ...] [--ours KEY=VALUE ...] [--times T]
        [--points FILE] [--diagonal D] [--only FORM ...]

`gs_pull_paper` and `gs_pull_release` take hours on a CPU with all their steps. Here every form has the network width,
the batch and about the time of `gs_pull`, and keeps its own terms, weights, kind of network and order of events: what
happens at a step happens at the same share of the stage. `tsdf` fuses the depth of the training cameras and `poisson`
(Open3D) joins the disks, both of the Gaussians of `gs_pull`. --set goes to all
of them, --ours to `gs_pull` and the baselines.

Printed for each: minutes, IoU of the silhouette over the photographs held out, distances from the reference points of
--points (benchmarks/reference_points.py) to the mesh, and, with the --diagonal of the object of a reduced
NeRF-synthetic scene (mic: 3.36), the error of the distance along the rays of all pixels with an object (a miss is
infinite), over that diagonal. A form that has its mesh already under OUT is only measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.figures import ray_distance, seconds

from neuralfw.geometry import point_to_mesh_distance, read_mesh, read_point_cloud

BASELINE = {"stages.appearance.steps": "0", "stages.geometry.steps": "0"}


def forms(times: float) -> dict[str, tuple[str, dict[str, str]]]:
    """Return the recipe and the settings of each form, the published ones with `times` 1500 and 1000 steps."""

    def steps(*counts: int) -> str:
        scaled = [round(times * count) for count in counts]
        return str(scaled if len(scaled) > 1 else scaled[0])

    short = {
        "data.near.refresh": steps(0, 125, 375, 625),
        "fields.gaussians.sh_every": steps(400),
        "fields.sdf.of.width": "128",
        "stages.appearance.steps": steps(1500),
        "stages.geometry.steps": steps(1000),
        "stages.geometry.passes.queries.batch": "4096",
        "stages.geometry.train.sdf.lr.warmup": steps(125),
        "export.mesher.resolution": "256",
    }
    paper = {
        "stages.appearance.callbacks.densify.begin": steps(300),
        "stages.appearance.callbacks.densify.finish": steps(1000),
    }
    means = f"{{ gaussians = {{}}, 'gaussians.means' = {{ eps = 1e-15, lr = {4.7e-5 / times:.3g} }} }}"
    release = {
        "data.near.refresh": steps(0, 1000, 3000, 5000),
        "stages.appearance.train": means,
        "stages.appearance.losses.opacity.from": steps(214),
        "stages.appearance.losses.thin.from": steps(857),
        "stages.appearance.callbacks.densify.begin": steps(643),
        "stages.appearance.callbacks.densify.interval": steps(107),
        "stages.appearance.callbacks.densify.finish": steps(1500),
        "stages.opacity.steps": steps(430),
        "stages.geometry.steps": steps(6000),
        "stages.geometry.passes.centers.batch": "4096",
        "stages.geometry.train.sdf.lr.warmup": steps(100),
        "stages.geometry.losses.near_disk.from": steps(1000),
        "stages.geometry.losses.attract.from": steps(1000),
        "stages.geometry.losses.tangent.from": steps(1000),
        "stages.geometry.losses.orthogonal.from": steps(3000),
    }
    return {
        "gs_pull": ("gs_pull", {}),
        "gs_pull_paper": ("gs_pull_paper", {**short, **paper}),
        "gs_pull_release": ("gs_pull_release", {**short, **release}),
        "tsdf": ("gs_pull", {**BASELINE, "export.mesher": '{ type = "tsdf" }'}),
        "poisson": ("gs_pull", {**BASELINE, "export.mesher": '{ type = "poisson" }'}),
    }


def train(run: Path, recipe: str, settings: dict[str, str], given: list[str]) -> None:
    """Run a form, or go on with it; its settings come after those given."""
    if (run / "eval/views.json").exists():
        return
    command = [sys.executable, "-m", "neuralfw"]
    if (run / "checkpoints/latest").exists():
        subprocess.run([*command, "resume", str(run)], check=True)
        return
    start = ["--from", str(run.parent / "gs_pull")] if settings.items() >= BASELINE.items() else []
    options = [*given, *(f"{key}={value}" for key, value in settings.items())]
    subprocess.run([*command, "run", recipe, "--out", str(run), *start, *(f"--set={o}" for o in options)], check=True)


def measured(run: Path, scene: Path, points: Path | None, diagonal: float | None) -> dict[str, float]:
    """Return the figures of a run by name."""
    views = json.loads((run / "eval/views.json").read_text())["metrics"]
    figures = {"minutes": seconds(run) / 60.0, "silhouette IoU": float(views["silhouette_iou"]["value"])}
    if points is not None:
        distance = point_to_mesh_distance(read_point_cloud(points).points, read_mesh(run / "meshes/mesh.ply"))
        figures |= {f"points p{p}": float(np.percentile(distance, p)) for p in (50, 90)}
    if diagonal is not None:
        about = {"scene": str(scene), "diagonal": diagonal}
        figures |= {f"rays p{p}": ray_distance(run, {**about, "percentile": p}) for p in (50, 80)}
    return figures


def main() -> None:
    """Run the forms and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path, help="posed photographs, some held out")
    parser.add_argument("out", type=Path, help="folder of the runs")
    parser.add_argument("--set", action="append", default=[], help="setting of every form")
    parser.add_argument("--ours", action="append", default=[], help="setting of gs_pull and what starts from it")
    parser.add_argument("--points", type=Path, help="reference points")
    parser.add_argument("--diagonal", type=float, help="of the object, world units: measures along rays of depth maps")
    parser.add_argument("--times", type=float, default=1.0, help="length of the published forms")
    parser.add_argument("--only", nargs="*", default=[*forms(1.0)], choices=[*forms(1.0)])
    arguments = parser.parse_args()
    for form in arguments.only:
        recipe, settings = forms(arguments.times)[form]
        run = arguments.out / form
        given = [f"data.images.path={arguments.scene.resolve()}", *arguments.set]
        own = [o for o in arguments.ours if "export.mesher" not in settings or not o.startswith("export.mesher.")]
        train(run, recipe, settings, given + (own if recipe == "gs_pull" else []))
        figures = measured(run, arguments.scene, arguments.points, arguments.diagonal)
        print(f"{form:16}" + "".join(f"  {name} {value:.4g}" for name, value in figures.items()), flush=True)


if __name__ == "__main__":
    main()
