"""Reference points of a scene with given cameras: what a surface fitted to it is measured against.

    pip install pycolmap
    python benchmarks/reference_points.py SCENE OUT.ply [--scale F]

SIFT features (Lowe 2004, by pycolmap) of all photographs, inside their masks, are matched between all pairs, kept where
the given cameras agree, joined to tracks and triangulated. A point stays if at least three photographs see it, each
within 0.5 pixels of its projection, from directions at least 2 degrees apart, and if it lies inside the mask of every
photograph that it falls into. No training may see these points: they are written outside of the repository, in the
world of the cameras.
"""

import argparse
import itertools
from functools import cache
from pathlib import Path

import numpy as np
import pycolmap
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from neuralfw.geometry import Camera, write_points
from neuralfw.photos.pictures import read_mask
from neuralfw.photos.sniff import read_capture

RATIO = 0.8
EPIPOLAR = 1.0  # pixels
REPROJECTION = 0.5  # pixels
VIEWS = 3
ANGLE = np.radians(2.0)


@cache
def sift() -> pycolmap.Sift:
    """The extractor, on the CPU, with twice COLMAP's sensitivity."""
    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.sift.peak_threshold = 0.0033
    return pycolmap.Sift(options)


def features(image: Path, mask: np.ndarray | None, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates and unit descriptors inside a mask, found in the image enlarged by `scale`."""
    picture = Image.open(image).convert("L")
    size = round(picture.width * scale), round(picture.height * scale)
    grey = np.asarray(picture.resize(size, Image.Resampling.BICUBIC), dtype=np.float32) / 255.0
    keypoints, descriptors = sift().extract(grey)
    pixels, descriptors = keypoints[:, :2].astype(np.float64) / scale, descriptors.astype(np.float32)
    kept = np.ones(len(pixels), dtype=bool) if mask is None else within(mask, pixels)
    return pixels[kept], descriptors[kept] / np.linalg.norm(descriptors[kept], axis=1, keepdims=True)


def within(mask: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Which pixel coordinates lie in a mask."""
    column, row = np.clip(pixels.astype(int), 0, np.array(mask.shape[::-1]) - 1).T
    inside: np.ndarray = mask[row, column]
    return inside


def fundamental(a: Camera, b: Camera) -> np.ndarray:
    """F with x_bᵀ F x_a = 0."""
    relative = b.world_to_camera @ np.linalg.inv(a.world_to_camera)
    x, y, z = relative[:3, 3]
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.linalg.inv(b.matrix).T @ cross @ relative[:3, :3] @ np.linalg.inv(a.matrix)


def matched(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray], epipolar: np.ndarray) -> np.ndarray:
    """Pairs of features that choose each other, clearly, and lie on each other's epipolar lines."""
    likeness = a[1] @ b[1].T
    forth, back = likeness.argmax(axis=1), likeness.argmax(axis=0)
    best = likeness[np.arange(len(forth)), forth]
    likeness[np.arange(len(forth)), forth] = -1.0
    distances = np.sqrt(np.maximum(2.0 - 2.0 * np.stack([best, likeness.max(axis=1)]), 0.0))
    first = np.flatnonzero((back[forth] == np.arange(len(forth))) & (distances[0] < RATIO * distances[1]))
    pairs = np.stack([first, forth[first]], axis=1)
    x, y = (np.column_stack([side[0][pairs[:, k]], np.ones(len(pairs))]) for k, side in enumerate((a, b)))
    lines_b, lines_a = x @ epipolar.T, y @ epipolar
    error = np.abs((y * lines_b).sum(axis=1))
    far = error / np.minimum(np.linalg.norm(lines_a[:, :2], axis=1), np.linalg.norm(lines_b[:, :2], axis=1))
    return pairs[far < EPIPOLAR]


def triangulated(cameras: list[Camera], pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The point nearest to observations by their reprojection (linear, then five Gauss-Newton steps); its errors."""
    rows = []
    for camera, (u, v) in zip(cameras, pixels, strict=True):
        P = camera.matrix @ camera.world_to_camera[:3]
        rows += [u * P[2] - P[0], v * P[2] - P[1]]
    rows = np.array(rows)
    homogeneous = np.linalg.svd(rows / np.linalg.norm(rows, axis=1, keepdims=True))[2][-1]
    point = homogeneous[:3] / homogeneous[3]
    for _ in range(5):
        residuals, jacobian = [], []
        for camera, seen in zip(cameras, pixels, strict=True):
            x, y, z = camera.world_to_camera[:3, :3] @ point + camera.world_to_camera[:3, 3]
            projected = np.array([camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy])
            slope = np.array([[camera.fx / z, 0, -camera.fx * x / z**2], [0, camera.fy / z, -camera.fy * y / z**2]])
            residuals.append(seen - projected)
            jacobian.append(slope @ camera.world_to_camera[:3, :3])
        step = np.linalg.lstsq(np.concatenate(jacobian), np.concatenate(residuals), rcond=None)[0]
        point = point + step
    projected = np.stack([camera.project(point[None])[0][0] for camera in cameras])
    return point, np.linalg.norm(projected - pixels, axis=1)


def point_of_track(cameras: list[Camera], pixels: np.ndarray) -> np.ndarray | None:
    """The point of a track, after dropping its worst observations one by one; None where too few agree."""
    kept = np.arange(len(cameras))
    while len(kept) >= VIEWS:
        chosen = [cameras[k] for k in kept]
        point, errors = triangulated(chosen, pixels[kept])
        if errors.max() <= REPROJECTION:
            sight = np.stack([point - camera.center for camera in chosen])
            sight /= np.linalg.norm(sight, axis=1, keepdims=True)
            wide = np.arccos(np.clip((sight @ sight.T).min(), -1.0, 1.0)) >= ANGLE
            before = all(camera.project(point[None])[1][0] > 0 for camera in chosen)
            return point if wide and before else None
        kept = np.delete(kept, errors.argmax())
    return None


def tracks(views: list[tuple[np.ndarray, np.ndarray]], cameras: list[Camera]) -> list[list[tuple[int, int]]]:
    """Sets of (view, feature) joined by matches; those that hold two features of one view are dropped."""
    starts = np.cumsum([0, *(len(pixels) for pixels, _ in views)])
    links = []
    for a, b in itertools.combinations(range(len(views)), 2):
        if cameras[a].axis @ cameras[b].axis > 0.5:
            links.append(matched(views[a], views[b], fundamental(cameras[a], cameras[b])) + starts[[a, b]])
    ends = np.concatenate(links).T
    _, label = connected_components(coo_array((np.ones(ends.shape[1]), ends), shape=(starts[-1],) * 2), directed=False)
    order = np.argsort(label, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(label[order])) + 1)
    found = []
    for group in (g for g in groups if len(g) >= VIEWS):
        view = np.searchsorted(starts, group, side="right") - 1
        if len(np.unique(view)) == len(view):
            found.append([*zip(view.tolist(), (group - starts[view]).tolist(), strict=True)])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--scale", type=float, default=1.0, help="enlargement of the photographs before SIFT")
    arguments = parser.parse_args()
    views = read_capture(arguments.scene).views
    cameras = [view.camera for view in views]
    masks = [view.mask and read_mask(view.mask, (view.camera.width, view.camera.height)) > 127 for view in views]
    found = [features(view.image, mask, arguments.scale) for view, mask in zip(views, masks, strict=True)]
    print(f"{len(found)} photographs, {sum(len(pixels) for pixels, _ in found):,} features", flush=True)
    joined = tracks(found, cameras)
    points = []
    for track in joined:
        pixels = np.stack([found[view][0][feature] for view, feature in track])
        point = point_of_track([cameras[view] for view, _ in track], pixels)
        points += [] if point is None else [point]
    cloud = np.array(points).reshape(-1, 3)
    print(f"{len(joined):,} tracks, {len(cloud):,} points within {REPROJECTION} pixels in at least {VIEWS} photographs")
    for camera, mask in zip(cameras, masks, strict=True):
        if mask is not None:
            pixels, depth = camera.project(cloud)
            cloud = cloud[~camera.sees(pixels, depth) | within(mask, pixels)]
    write_points(arguments.out, cloud)
    print(f"{len(cloud):,} reference points inside every mask: {arguments.out}")


if __name__ == "__main__":
    main()
