"""Rasterising a mesh for face, depth and barycentrics, against Embree's ray casting or a NumPy twin.

    python benchmarks/mesh_raster.py [--size N] [MESH]

Embree comes with `pip install open3d` or `embreex`; where neither is installed the twin, which draws the faces one
after another with NumPy, is the opponent. Rounds are interleaved in one process with all threads; a torus of 50,160
triangles is taken without MESH. Embree is timed with its tree built once ("cast") and with the building ("build and
cast"), which a mesh that changes needs each time. Where neuralfw-mesh is installed, antialiasing and its backward are
timed too.
"""

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable

import numpy as np
import trimesh

from neuralfw.geometry import Camera, Mesh, read_mesh
from neuralfw.raster import rasterize

Opponent = Callable[[], np.ndarray]


def twin(mesh: Mesh, camera: Camera) -> Opponent:
    """Depth by a loop over the faces, each drawn by NumPy."""

    def draw() -> np.ndarray:
        pixels, depth = camera.project(mesh.vertices)
        image = np.zeros((camera.height, camera.width))
        for corners, z in zip(pixels[mesh.faces], depth[mesh.faces], strict=True):
            low = np.maximum(np.ceil(corners.min(axis=0) - 0.5), 0).astype(int)
            high = np.minimum(np.floor(corners.max(axis=0) - 0.5) + 1, (camera.width, camera.height)).astype(int)
            area = np.linalg.det(corners[1:] - corners[0])
            if (high <= low).any() or area == 0 or (z <= 0).any():
                continue
            y, x = np.mgrid[low[1] : high[1], low[0] : high[0]] + 0.5
            weights = []
            for i in range(3):
                (px, py), (qx, qy) = corners[(i + 1) % 3], corners[(i + 2) % 3]
                weights.append(((px - x) * (qy - y) - (py - y) * (qx - x)) / area)
            inverse = sum(w / d for w, d in zip(weights, z, strict=True))
            part = image[low[1] : high[1], low[0] : high[0]]
            inside = np.logical_and.reduce([w >= 0 for w in weights]) & (inverse > part)
            part[inside] = inverse[inside]
        with np.errstate(divide="ignore"):
            return 1.0 / image

    return draw


def has_open3d() -> bool:
    """Whether Open3D can be imported; without its system libraries it cannot."""
    try:
        import open3d  # noqa: F401
    except (ImportError, OSError):
        return False
    return True


def embree(mesh: Mesh, camera: Camera, *, build: bool) -> Opponent:
    """Depth by Embree, through Open3D or embreex."""
    origin, directions = camera.rays()
    directions = directions / (directions @ camera.axis)[..., None]
    if has_open3d():
        import open3d as o3d

        rays = np.concatenate([np.broadcast_to(origin, directions.shape), directions], axis=-1).astype(np.float32)

        def scene() -> object:
            made = o3d.t.geometry.RaycastingScene()
            made.add_triangles(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32))
            return made

        kept = scene()
        return lambda: (scene() if build else kept).cast_rays(rays)["t_hit"].numpy()
    from embreex import rtcore_scene
    from embreex.mesh_construction import TriangleMesh

    flat = directions.reshape(-1, 3).astype(np.float32)
    starts = np.broadcast_to(origin, flat.shape).astype(np.float32)

    def scene() -> object:
        made = rtcore_scene.EmbreeScene()
        TriangleMesh(made, mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32))
        return made

    kept = scene()
    return lambda: (scene() if build else kept).run(starts, flat, query="DISTANCE").reshape(camera.height, camera.width)


def milliseconds(compute: Callable[[], object]) -> float:
    start = time.perf_counter()
    compute()
    return 1e3 * (time.perf_counter() - start)


def antialiasing(mesh: Mesh, camera: Camera) -> None:
    """Print how long the renderer `mesh` takes to blend silhouettes of a coloured image, forward and backward."""
    import torch

    from neuralfw_mesh.backends import cpu
    from neuralfw_mesh.contract import Triangles, View

    pose = torch.from_numpy(camera.world_to_camera).float()
    positions = (torch.from_numpy(mesh.vertices).float() @ pose[:3, :3].T + pose[:3, 3]).requires_grad_()
    view = View((camera.fx, camera.fy, camera.cx, camera.cy), camera.width, camera.height, silhouettes="all")
    triangles, rounds = Triangles(torch.from_numpy(mesh.faces)), []
    for _ in range(15):
        drawn = cpu.Drawing(positions, triangles, view)
        image = drawn.interpolate(positions).detach().requires_grad_()
        start = time.perf_counter()
        blended = drawn.antialias(image)
        middle = time.perf_counter()
        torch.autograd.grad(blended, (image, positions), torch.ones_like(blended))
        rounds.append((1e3 * (middle - start), 1e3 * (time.perf_counter() - middle)))
    forward, backward = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(b / f for f, b in rounds)
    print(f"  antialiasing {forward:.1f} ms, its backward {backward:.1f} ms: {ratio:.1f} of the forward")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mesh", nargs="?")
    parser.add_argument("--size", type=int, default=512, help="edge of the image in pixels")
    arguments = parser.parse_args()
    if arguments.mesh:
        mesh = read_mesh(arguments.mesh)
    else:
        torus = trimesh.creation.torus(1.0, 0.4, major_sections=228, minor_sections=110)
        mesh = Mesh(np.array(torus.vertices), np.array(torus.faces))
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    center, reach = 0.5 * (low + high), float(np.linalg.norm(high - low))
    eye = center + reach * np.array([0.6, 0.5, 0.9])
    size = arguments.size
    camera = Camera.look_at(eye, center, [0.0, 1.0, 0.0], focal=size, width=size, height=size)

    has_embree = has_open3d() or importlib.util.find_spec("embreex") is not None
    if has_embree:
        ways = {"Embree, cast": False, "Embree, build and cast": True}
        opponents = {name: embree(mesh, camera, build=build) for name, build in ways.items()}
    else:
        opponents = {"NumPy twin": twin(mesh, camera)}
    ours = rasterize(mesh.vertices, mesh.faces, camera)
    print(f"{len(mesh.faces):,} triangles, {size} x {size}, {ours.hit.mean():.0%} of the pixels covered")
    for name, opponent in opponents.items():
        theirs = opponent()
        theirs = np.where(np.isfinite(theirs) & (theirs < 1e10), theirs, np.inf)
        both = ours.hit & np.isfinite(theirs)
        error = np.median(np.abs(theirs[both] / ours.depth[both] - 1.0))
        agree = (ours.hit == np.isfinite(theirs)).mean()
        rounds = [
            (milliseconds(lambda: rasterize(mesh.vertices, mesh.faces, camera)), milliseconds(opponent))
            for _ in range(15 if has_embree else 3)
        ]
        own, other = (statistics.median(column) for column in zip(*rounds, strict=True))
        ratio = statistics.median(theirs / mine for mine, theirs in rounds)
        print(f"  hits agree on {agree:.3%}, median relative difference of depth {error:.1e}")
        print(f"  ours {own:.1f} ms, {name} {other:.1f} ms: {ratio:.1f} times faster")
    if importlib.util.find_spec("neuralfw_mesh"):
        antialiasing(mesh, camera)


if __name__ == "__main__":
    main()
