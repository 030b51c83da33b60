"""What cameras and masks alone say about where the object is: the box that cameras see, and the visual hull."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, UInt8
from scipy.ndimage import binary_erosion

from neuralfw.errors import UserError
from neuralfw.geometry.camera import Camera, nearest_to_axes

from .carving import Silhouettes

COVERED = 26
"""A pixel of a mask, of 255, belongs to the silhouette from a tenth on, so that the hull holds what is thin."""

MOST = 0.5
"""Share of the cameras that must see a point."""

VOTES = (1.0, 0.9, 0.75, 0.5)
"""Shares of the masks that must agree on a point: fewer where poses are rough and the hull of all would be a sliver."""

EXPLAINED = 0.8
"""Share of the masks that a hull must cover, else fewer votes are asked for."""

_JUDGED_BY = 16
"""Masks that are looked at for it."""

Mask = UInt8[np.ndarray, "_ _"]
Box = Float64[np.ndarray, "2 3"]


def seen_box(cameras: Sequence[Camera], cells: int = 48) -> Box:
    """The box around the points that at least half of the cameras see, not farther from what they look at than they."""
    target = nearest_to_axes(cameras)
    reach = max(float(np.linalg.norm(c.center - target)) for c in cameras)
    if reach == 0.0:
        raise UserError("all cameras stand in one place, so they do not say where the object is.")
    return seen_part(cameras, np.stack([target - reach, target + reach]), MOST, cells)


def seen_part(cameras: Sequence[Camera], box: Box, share: float, cells: int = 48) -> Box:
    """The box around the points of a box that this share of the cameras see, or as many as see any point."""
    step = (box[1] - box[0]) / cells
    points = box[0] + (np.argwhere(np.ones((cells,) * 3)) + 0.5) * step
    seen = sum(c.sees(*c.project(points)).astype(np.int32) for c in cameras)
    inside = points[seen >= min(np.max(seen), share * len(cameras))]
    return np.stack([inside.min(axis=0) - 0.5 * step, inside.max(axis=0) + 0.5 * step])


class Hull:
    """The visual hull: all points that lie in the silhouette of every mask, or of a share of them.

    An image in which a point does not fall says nothing about it, but at least half of the cameras must see it.
    """

    def __init__(
        self,
        cameras: Sequence[Camera],
        masks: Sequence[Mask],
        within: Box | None = None,
        cells: int = 96,
        votes: float = 1.0,
    ) -> None:
        """Carve the space that the cameras see.

        Args:
            cameras: of the masks.
            masks: 0 to 255, of the sizes of the cameras' images.
            within: a box that holds the object; default: what the cameras see.
            cells: along each edge of the grid; a multiple of 4.
            votes: share of the masks that must hold a point.

        Raises:
            UserError: the silhouettes have no point in common: masks and poses do not match.
        """
        self._silhouettes = [_Silhouette(c, mask) for c, mask in zip(cameras, masks, strict=True)]
        self._all = Silhouettes(cameras, [silhouette.sums for silhouette in self._silhouettes])
        self.votes, self._spared = votes, int((1.0 - votes) * len(masks))
        self._box: Box = seen_box(cameras) if within is None else within
        self._box = _box_of(self._carve(np.ones((cells // 2,) * 3, dtype=bool)), self._box)
        self._occupied = self._carve(np.ones((cells // 4,) * 3, dtype=bool))
        for _ in range(2):
            self._occupied = self._carve(self._occupied.repeat(2, 0).repeat(2, 1).repeat(2, 2))
        self.bounds: Box = _box_of(self._occupied, self._box)

    @classmethod
    def agreed(cls, cameras: Sequence[Camera], masks: Sequence[Mask], within: Box | None = None) -> "Hull":
        """Return the hull of all masks or, where it does not explain them since poses are rough, of most of them.

        Raises:
            UserError: half of the masks have no point in common.
        """
        for votes in VOTES:
            try:
                hull = cls(cameras, masks, within, votes=votes)
            except UserError:
                if votes == VOTES[-1]:
                    raise
                continue
            if hull.explained() >= EXPLAINED:
                break
        return hull

    def explained(self) -> float:
        """Return how much of the masks the hull covers, 0 to 1."""
        step = max(1, len(self._silhouettes) // _JUDGED_BY)
        edge = float(((self._box[1] - self._box[0]) / self._occupied.shape).max())
        points = self.points
        return float(np.mean([silhouette.covered(points, edge) for silhouette in self._silhouettes[::step]]))

    @property
    def points(self) -> Float64[np.ndarray, "n 3"]:
        """The centres of the grid's cells that may hold points of the hull."""
        step = (self._box[1] - self._box[0]) / self._occupied.shape
        centers: Float64[np.ndarray, "n 3"] = self._box[0] + (np.argwhere(self._occupied) + 0.5) * step
        return centers

    def contains(self, points: Float64[np.ndarray, "n 3"]) -> Bool[np.ndarray, "n"]:
        """Mark the points that lie in the silhouettes in whose images they fall, and in half of the images."""
        return self._touching(points, 0.0)

    def sample(self, count: int, generator: np.random.Generator) -> Float64[np.ndarray, "n 3"]:
        """Draw points of the hull in the two outermost layers of its grid, uniform in volume."""
        inner = binary_erosion(self._occupied, iterations=2)
        shell = np.argwhere(self._occupied & ~inner)
        step = (self._box[1] - self._box[0]) / self._occupied.shape
        found: list[Float64[np.ndarray, "k 3"]] = []
        missing = count
        for _ in range(100):
            chosen = shell[generator.integers(len(shell), size=count + 1024)]
            points = self._box[0] + (chosen + generator.random(chosen.shape)) * step
            found.append(points[self.contains(points)][:missing])
            missing -= len(found[-1])
            if missing == 0:
                return np.concatenate(found)
        raise UserError("the visual hull of the masks is too thin to draw points of: do masks and poses match?")

    def _carve(self, candidates: Bool[np.ndarray, "x x x"]) -> Bool[np.ndarray, "x x x"]:
        """Mark those of a grid's cells that may hold points of the hull: whose balls touch every silhouette."""
        step = (self._box[1] - self._box[0]) / candidates.shape
        cells = np.argwhere(candidates)
        radius = 0.5 * float(np.linalg.norm(step))
        cells = cells[self._touching(self._box[0] + (cells + 0.5) * step, radius)]
        if len(cells) == 0:
            raise UserError("the masks have no point of space in common: masks and poses do not match.")
        occupied = np.zeros_like(candidates)
        occupied[tuple(cells.T)] = True
        return occupied

    def _touching(self, points: Float64[np.ndarray, "n 3"], radius: float) -> Bool[np.ndarray, "n"]:
        return self._all.touch(points, radius, self._spared, MOST * len(self._silhouettes))


class HullOverTime:
    """The visual hulls of the moments of something that moves, whose masks agree at one time only.

    Attributes:
        bounds: the box around all of them.
        votes: the smallest share of masks that had to agree.
    """

    def __init__(self, hulls: Sequence[Hull]) -> None:
        self._hulls = hulls
        boxes = np.stack([hull.bounds for hull in hulls])
        self.bounds: Box = np.stack([boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)])
        self.votes = min(hull.votes for hull in hulls)

    def sample(self, count: int, generator: np.random.Generator) -> Float64[np.ndarray, "n 3"]:
        """Draw points as `Hull.sample` does, as many of each moment."""
        ends = np.linspace(0, count, len(self._hulls) + 1).round().astype(int)
        parts = [hull.sample(int(n), generator) for hull, n in zip(self._hulls, np.diff(ends), strict=True) if n]
        return np.concatenate([*parts, np.zeros((0, 3))])


class _Silhouette:
    """A mask by its sums over all rectangles from its corner, (h + 1, w + 1), which tell what is in any rectangle."""

    def __init__(self, camera: Camera, mask: Mask) -> None:
        self._camera = camera
        self.sums = np.zeros((camera.height + 1, camera.width + 1), dtype=np.int32)
        self.sums[1:, 1:] = (mask >= COVERED).cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)

    def covered(self, points: Float64[np.ndarray, "n 3"], edge: float) -> float:
        """Return the share of the silhouette that points cover, each with a cube of this edge about it."""
        camera = self._camera
        pixels, depth = camera.project(points)
        inside = camera.sees(pixels, depth)
        if not inside.any():
            return 0.0
        bin = max(1, int(np.ceil(1.5 * max(camera.fx, camera.fy) * edge / np.median(depth[inside]))))
        x, y = (np.minimum(np.arange(0, size + bin, bin), size) for size in (camera.width, camera.height))
        sums = self.sums[np.ix_(y, x)]
        shown = np.diff(np.diff(sums, axis=0), axis=1) > 0
        hit = np.zeros_like(shown)
        column, row = (pixels[inside] // bin).astype(np.int64).T
        hit[row, column] = True
        return float((hit & shown).sum() / max(1, shown.sum()))


def _box_of(occupied: Bool[np.ndarray, "x y z"], box: Box) -> Box:
    """The box around the occupied cells of a box's grid."""
    index = np.argwhere(occupied)
    step = (box[1] - box[0]) / occupied.shape
    return np.stack([box[0] + index.min(axis=0) * step, box[0] + (index.max(axis=0) + 1) * step])


def mean_color(
    points: Float64[np.ndarray, "n 3"], cameras: Sequence[Camera], images: Sequence[UInt8[np.ndarray, "_ _ 3"]]
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
