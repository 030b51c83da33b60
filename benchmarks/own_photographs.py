"""From plain photographs to a mesh, against surveyed cameras and points of larger photographs.

    python benchmarks/own_photographs.py FOUNTAIN OUT

FOUNTAIN is Strecha's fountain-P11 with `images_4`, a model of COLMAP of the photographs in full size in `sparse/0`, and
`gt_dense_cameras`. The two commands of docs/own_photographs.md are run into OUT, each unless it has been; the first
sees nothing but `images_4`.
"""

import argparse
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np

from neuralfw.geometry import Mesh, point_to_mesh_distance, read_mesh
from neuralfw.metrics.cameras import align, camera_errors, centers_of
from neuralfw.photos import Capture, read_capture

SEEN, ERROR, NEAR = 4, 1.0, 6.0  # photographs and pixels of a reference point; metres from the middle of all of them


def surveyed(path: Path) -> np.ndarray:
    """The pose of a .camera file: K, three zeros, the rotation from camera to world, the centre."""
    numbers = np.array(path.read_text(encoding="utf-8").split(), dtype=float)
    rotation = numbers[12:21].reshape(3, 3).T
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, -rotation @ numbers[21:24]
    return pose


def run(*arguments: str) -> None:
    """Run a command of neuralfw and print its processor time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "neuralfw", *arguments], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{' '.join(arguments)}: {after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime:.0f} s of CPU")


def poses(capture: Capture) -> np.ndarray:
    """Of all views, world to camera."""
    return np.stack([camera.world_to_camera for camera in capture.cameras])


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fountain", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    scene, mesh = given.out / "scene", given.out / "mesh"
    if not scene.exists():
        run("data", "convert", str(given.fountain / "images_4"), str(scene), "--sfm")
    if not mesh.exists():
        run("run", "photographs", "--set", f"data.images.path={scene}", "--out", str(mesh))

    found, reference = read_capture(scene), read_capture(given.fountain)
    true = {
        view.name: surveyed(given.fountain / "gt_dense_cameras" / f"{view.name}.camera") for view in reference.views
    }
    known = np.stack([true[view.name] for view in found.views])
    errors, centers = camera_errors(poses(found), known), centers_of(np.stack([*true.values()]))
    spread = float(np.linalg.norm(centers - centers.mean(axis=0), axis=1).max())
    assert found.points is not None and reference.points is not None and reference.tracks is not None
    print(f"{len(found.views)} of {len(true)} photographs; {len(found.points):,} points; spread {spread:.3f} m")
    for name, values, unit in (
        ("centre", 100.0 * errors.center / spread, "%"),
        ("rotation", errors.rotation, "degrees"),
    ):
        print(f"{name}: mean {values.mean():.3f}, largest {values.max():.3f} {unit}")

    kept = (reference.tracks.length >= SEEN) & (reference.tracks.error < ERROR)
    points = align(poses(reference), np.stack([*true.values()])).apply(reference.points.points[kept])
    points = points[np.linalg.norm(points - np.median(points, axis=0), axis=1) < NEAR]
    surface = read_mesh(mesh / "meshes" / "mesh.ply")
    distance = point_to_mesh_distance(points, Mesh(errors.similarity.apply(surface.vertices), surface.faces))
    median, most = np.quantile(distance, (0.5, 0.9))
    print(f"{len(points):,} points to the mesh of {len(surface.faces):,} faces: median {median:.4f}, 90 % {most:.4f} m")


if __name__ == "__main__":
    main()
