"""What cameras and masks alone say about where the object is: the box that cameras see, and the visual hull."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, UInt8
from scipy.ndimage import binary_erosion, maximum_filter

from neuralfw.errors import UserError
from neuralfw.geometry.camera import Camera, nearest_to_axes

COVERED = 26
"""A pixel of a mask, of 255, belongs to the silhouette from a tenth on, so that the hull holds what is thin."""

MOST = 0.5
"""Share of the cameras that must see a point."""

Mask = UInt8[np.ndarray, "h w"]
Box = Float64[np.ndarray, "2 3"]


def seen_box(cameras: Sequence[Camera], cells: int = 48) -> Box:
    """The box around the points that at least half of the cameras see, not farther from what they look at than they."""
    target = nearest_to_axes(cameras)
    reach = max(float(np.linalg.norm(c.center - target)) for c in cameras)
    if reach == 0.0:
        raise UserError("all cameras stand in one place, so they do not say where the object is.")
    box = np.stack([target - reach, target + reach])
    points = _nodes(box, cells).reshape(-1, 3)
    seen = sum(c.sees(*c.project(points)).astype(np.int32) for c in cameras)
    inside = points[seen >= min(np.max(seen), MOST * len(cameras))]
    half = reach / cells
    return np.stack([inside.min(axis=0) - half, inside.max(axis=0) + half])


class Hull:
    """The visual hull: all points that lie in the silhouette of every mask.

    An image in which a point does not fall says nothing about it, but at least half of the cameras must see it.
    """

    def __init__(
        self, cameras: Sequence[Camera], masks: Sequence[Mask], within: Box | None = None, cells: int = 96
    ) -> None:
        """Carve the space that the cameras see.

        Args:
            cameras: of the masks.
            masks: 0 to 255, of the sizes of the cameras' images.
            within: a box that holds the object; default: what the cameras see.
            cells: along each edge of the grid.

        Raises:
            UserError: the silhouettes have no point in common: masks and poses do not match.
        """
        self._views = [(c, mask >= COVERED) for c, mask in zip(cameras, masks, strict=True)]
        box, self._cells = seen_box(cameras) if within is None else within, cells
        for coarse in (cells // 3, cells // 2):
            box = _box_of(self._carve(box, coarse), box)
        self._box, self._occupied = box, self._carve(box, cells)
        self.bounds: Box = _box_of(self._occupied, box)

    def contains(self, points: Float64[np.ndarray, "n 3"]) -> Bool[np.ndarray, "n"]:
        """Mark the points that lie in every silhouette in whose image they fall, and in half of the images."""
        return self._in_all(points, [mask for _, mask in self._views])

    def sample(self, count: int, generator: np.random.Generator) -> Float64[np.ndarray, "n 3"]:
        """Draw points of the hull in the two outermost layers of its grid, uniform in volume."""
        inner = binary_erosion(self._occupied, iterations=2)
        shell = np.argwhere(self._occupied & ~inner)
        step = (self._box[1] - self._box[0]) / self._cells
        found: list[Float64[np.ndarray, "k 3"]] = []
        missing = count
        for _ in range(200):
            chosen = shell[generator.integers(len(shell), size=2 * missing + 64)]
            points = self._box[0] + (chosen + generator.random(chosen.shape)) * step
            found.append(points[self.contains(points)][:missing])
            missing -= len(found[-1])
            if missing == 0:
                return np.concatenate(found)
        raise UserError("the visual hull of the masks is too thin to draw points of: do masks and poses match?")

    def _carve(self, box: Box, cells: int) -> Bool[np.ndarray, "x y z"]:
        """Mark the cells of a grid that may hold points of the hull; silhouettes grow by the cells' half diagonal."""
        points = _nodes(box, cells).reshape(-1, 3)
        radius = 0.5 * float(np.linalg.norm((box[1] - box[0]) / cells))
        masks = [_grown_mask(camera, mask, box, radius) for camera, mask in self._views]
        occupied = self._in_all(points, masks).reshape(cells, cells, cells)
        if not occupied.any():
            raise UserError("the masks have no point of space in common: masks and poses do not match.")
        return occupied

    def _in_all(
        self, points: Float64[np.ndarray, "n 3"], masks: Sequence[Bool[np.ndarray, "h w"]]
    ) -> Bool[np.ndarray, "n"]:
        """Mark the points in all masks; each mask is asked only of the points that are left."""
        left, seen = np.arange(len(points)), np.zeros(len(points), dtype=np.int32)
        for (camera, _), mask in zip(self._views, masks, strict=True):
            pixels, depth = camera.project(points[left])
            inside = camera.sees(pixels, depth)
            column, row = pixels[inside].astype(np.int64).T
            keep = np.ones(len(left), dtype=bool)
            keep[inside] = mask[row, column]
            seen[left[inside]] += 1
            left = left[keep]
        marked = np.zeros(len(points), dtype=bool)
        marked[left] = seen[left] >= MOST * len(masks)
        return marked


def _box_of(occupied: Bool[np.ndarray, "x y z"], box: Box) -> Box:
    """The box around the occupied cells of a box's grid."""
    index = np.argwhere(occupied)
    step = (box[1] - box[0]) / occupied.shape
    return np.stack([box[0] + index.min(axis=0) * step, box[0] + (index.max(axis=0) + 1) * step])


def _grown_mask(camera: Camera, mask: Bool[np.ndarray, "h w"], box: Box, radius: float) -> Bool[np.ndarray, "h w"]:
    """A silhouette grown by the image of a ball of that radius, at the nearest place where it can lie in the box."""
    depth = camera.project(np.stack(np.meshgrid(*box.T), axis=-1).reshape(-1, 3))[1]
    nearest = max(float(depth.min()) - radius, 0.05 * float(depth.max()), 1e-12)
    size = 2 * int(np.ceil(max(camera.fx, camera.fy) * radius / nearest)) + 1
    grown: Bool[np.ndarray, "h w"] = maximum_filter(mask, size=size, mode="nearest")
    return grown


def _nodes(box: Box, cells: int) -> Float64[np.ndarray, "x y z 3"]:
    """The centres of a grid's cells."""
    step = (box[1] - box[0]) / cells
    axes = [box[0, a] + (np.arange(cells) + 0.5) * step[a] for a in range(3)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def mean_color(
    points: Float64[np.ndarray, "n 3"], cameras: Sequence[Camera], images: Sequence[UInt8[np.ndarray, "h w 3"]]
) -> Float64[np.ndarray, "n 3"]:
    """The mean of what the images show at the points, hidden or not, in [0, 1]; grey where none shows a point."""
    total, count = np.zeros((len(points), 3)), np.zeros((len(points), 1))
    for camera, image in zip(cameras, images, strict=True):
        pixels, depth = camera.project(points)
        inside = camera.sees(pixels, depth)
        column, row = pixels[inside].astype(np.int64).T
        total[inside] += image[row, column] / 255.0
        count[inside] += 1.0
    return np.where(count > 0.0, total / np.maximum(count, 1.0), 0.5)
