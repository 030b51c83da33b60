"""What a pinhole camera sees of a triangle mesh, without gradients: faces, depth, silhouettes, visibility."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int32, Int64
from scipy.ndimage import maximum_filter

from neuralfw.geometry import Camera, Mesh
from neuralfw.threads import numba_threads

from . import kernels


@dataclass(frozen=True, eq=False)
class Fragments:
    """The front-most point of a mesh in each pixel.

    Attributes:
        face: which face lies there; -1 where none does.
        depth: along the optical axis, world units; inf where nothing is hit.
        barycentric: of the point in its face, corrected for perspective; 0 where nothing is hit.
    """

    face: Int32[np.ndarray, "h w"]
    depth: Float32[np.ndarray, "h w"]
    barycentric: Float32[np.ndarray, "h w 3"]

    @property
    def hit(self) -> Bool[np.ndarray, "h w"]:
        """Where something lies."""
        hit: Bool[np.ndarray, "h w"] = self.face >= 0
        return hit

    def interpolate(
        self, values: Float[np.ndarray, "v c"], faces: Int64[np.ndarray, "f 3"]
    ) -> Float64[np.ndarray, "h w c"]:
        """Values of vertices interpolated to the pixels; 0 where nothing is hit."""
        image = np.zeros((*self.face.shape, values.shape[1]))
        corners = values[faces[self.face[self.hit]]]
        image[self.hit] = np.einsum("nk,nkc->nc", self.barycentric[self.hit], corners)
        return image


def rasterize(
    vertices: Float[np.ndarray, "v 3"], faces: Int64[np.ndarray, "f 3"], camera: Camera, *, near: float = 1e-6
) -> Fragments:
    """Find the front-most face at the centre of each pixel, from either side.

    A pixel centre on an edge that two faces share belongs to exactly one of them; one that a vertex falls on, up to
    rounding. The result does not depend on the number of threads.

    Args:
        vertices: world positions.
        faces: three vertex indices each.
        camera: in the same world.
        near: what lies less deep is not seen, world units, positive.
    """
    pose = camera.world_to_camera
    local = vertices.astype(np.float64) @ pose[:3, :3].T + pose[:3, 3]
    intrinsics = (camera.fx, camera.fy, camera.cx, camera.cy)
    return rasterize_local(local, faces, intrinsics, (camera.height, camera.width), near=near)


def rasterize_local(
    vertices: Float64[np.ndarray, "v 3"],
    faces: Int64[np.ndarray, "f 3"],
    intrinsics: tuple[float, float, float, float],
    size: tuple[int, int],
    *,
    near: float = 1e-6,
) -> Fragments:
    """As `rasterize`, of vertices in camera axes.

    Args:
        vertices: x right, y down, z forward.
        faces: three vertex indices each.
        intrinsics: fx, fy, cx, cy in pixels.
        size: height and width of the image, pixels.
        near: what lies less deep is not seen, positive.
    """
    bins = -(-size[0] // kernels.BIN_ROWS)
    planes, boxes = np.empty((len(faces), 10)), np.empty((len(faces), 4), dtype=np.int32)
    face = np.full(size, -1, dtype=np.int32)
    nearness, barycentric = np.zeros(size), np.zeros((*size, 3), dtype=np.float32)
    with numba_threads() as threads:
        kernels.set_up(vertices, faces, intrinsics, size, near, planes, boxes)
        members, starts = kernels.sort_into_bins(boxes, bins)
        order = np.concatenate([np.arange(thread, bins, threads) for thread in range(threads)])
        kernels.draw(planes, boxes, members, starts, order, 1.0 / near, face, nearness, barycentric)
    with np.errstate(divide="ignore"):
        return Fragments(face, (1.0 / nearness).astype(np.float32), barycentric)


def silhouette(mesh: Mesh, camera: Camera) -> Bool[np.ndarray, "h w"]:
    """Mark the pixels whose centre the mesh covers."""
    return rasterize(mesh.vertices, mesh.faces, camera).hit


def ray_distance(mesh: Mesh, camera: Camera) -> Float64[np.ndarray, "h w"]:
    """Distance from the camera's centre to the mesh along each pixel's ray, world units; inf where it is missed."""
    cosine = camera.rays()[1] @ camera.axis
    distance: Float64[np.ndarray, "h w"] = rasterize(mesh.vertices, mesh.faces, camera).depth / cosine
    return distance


def visible_faces(mesh: Mesh, cameras: Iterable[Camera]) -> Bool[np.ndarray, "f"]:
    """Mark the faces that at least one camera sees.

    A face is seen where it is the front-most at a pixel's centre; or, as it may be smaller than a pixel, where its own
    centre lies no deeper than the farthest of what the 3 × 3 pixels around it show, or these show nothing.
    """
    seen, centers = np.zeros(len(mesh.faces), dtype=bool), mesh.triangles.mean(axis=1)
    for camera in cameras:
        fragments = rasterize(mesh.vertices, mesh.faces, camera)
        seen[fragments.face[fragments.hit]] = True
        pixels, depth = camera.project(centers)
        inside = np.flatnonzero(camera.sees(pixels, depth) & ~seen)
        column, row = pixels[inside].astype(np.int64).T
        farthest = maximum_filter(np.where(fragments.hit, fragments.depth, 0.0), size=3)
        seen[inside] = depth[inside] <= np.where(farthest > 0.0, farthest, np.inf)[row, column]
    return seen
