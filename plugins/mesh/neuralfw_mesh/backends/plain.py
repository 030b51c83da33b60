"""The readable twin in PyTorch: every pixel asks every face."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ..blending import Crossings, blend, projected
from ..contract import Triangles, View

SILHOUETTES = frozenset({"shown"})


def unavailable() -> str | None:
    """Say why the backend does not work here, or None."""
    return None


class Drawing:
    """See `neuralfw_mesh.contract`."""

    def __init__(self, positions: Float[Tensor, "n 3"], triangles: Triangles, view: View) -> None:
        self._faces, self._view, self._positions = triangles.faces, view, positions
        edges = _edge_functions(positions[triangles.faces][None, None], self._rays()[:, :, None])
        inside = (edges >= 0.0).all(dim=3) | (edges <= 0.0).all(dim=3)
        corners = positions[triangles.faces]
        nearness = edges.sum(dim=3) / torch.linalg.det(corners)
        nearness = torch.where(inside & (nearness > 0.0) & (nearness <= 1.0 / view.near), nearness, 0.0)
        self._nearness, self._face = nearness.detach().max(dim=2)
        self.hit = self._nearness > 0.0

    def interpolate(self, values: Float[Tensor, "n c"]) -> Float[Tensor, "h w c"]:
        corners = self._faces[self._face[self.hit]]
        edges = _edge_functions(self._positions[corners], self._rays()[self.hit])
        found = torch.einsum("mk,mkc->mc", (edges / edges.sum(dim=1, keepdim=True)).to(values), values[corners])
        image = values.new_zeros(*self.hit.shape, values.shape[1])
        return image.index_put((self.hit,), found)

    def antialias(self, image: Float[Tensor, "h w c"]) -> Float[Tensor, "h w c"]:
        screen = projected(self._positions, self._view)
        return blend(image, screen, self._crossings(screen.detach()))

    def _rays(self) -> Float[Tensor, "h w 3"]:
        fx, fy, cx, cy = self._view.intrinsics
        like = self._positions
        y, x = (
            torch.arange(n, dtype=like.dtype, device=like.device) + 0.5 for n in (self._view.height, self._view.width)
        )
        y, x = torch.meshgrid((y - cy) / fy, (x - cx) / fx, indexing="ij")
        return torch.stack([x, y, torch.ones_like(x)], dim=2)

    def _crossings(self, screen: Float[Tensor, "n 2"]) -> Crossings:
        wings = wings_of(self._faces)
        height, width = self.hit.shape
        rows: list[tuple[int, int, int, int, bool]] = []
        for y in range(height):
            for x in range(width):
                for x1, y1 in ((x + 1, y), (x, y + 1)):
                    if x1 < width and y1 < height and (found := self._crossing(screen, wings, (x, y), (x1, y1))):
                        rows.append((y * width + x, y1 * width + x1, *found))
        table = torch.tensor(rows, dtype=torch.int64, device=screen.device).reshape(-1, 5)
        return Crossings(table[:, :2], table[:, 2:4], table[:, 4] > 0)

    def _crossing(
        self, screen: Float[Tensor, "n 2"], wings: Int64[Tensor, "f 3"], at: tuple[int, int], other: tuple[int, int]
    ) -> tuple[int, int, bool] | None:
        """Return the ends of the edge between two pixels (x, y), and whether it is the second's; None without one."""
        (x0, y0), (x1, y1) = at, other
        near0, near1 = self._nearness[y0, x0], self._nearness[y1, x1]
        if near0 == near1 == 0.0 or (min(near0, near1) > 0.0 and self._face[y0, x0] == self._face[y1, x1]):
            return None
        second = bool(near1 >= near0)
        f = self._face[y1, x1] if second else self._face[y0, x0]
        x, y = other if second else at
        corners = self._faces[f]
        if bool((self._positions[torch.cat([corners, wings[f]]), 2] < self._view.near).any()):
            return None
        points = screen[corners] - screen.new_tensor([x + 0.5, y + 0.5])
        beyond = screen[wings[f]] - screen.new_tensor([x + 0.5, y + 0.5])
        side, line = (-1.0 if second else 1.0), (0 if y0 == y1 else 1)
        best: tuple[float, int] | None = None
        for i in range(3):
            p, q = points[(i + 1) % 3], points[(i + 2) % 3]
            if bool(p[1 - line].signbit() != q[1 - line].signbit()):
                far = side * float((p[line] * q[1 - line] - q[line] * p[1 - line]) / (q[1 - line] - p[1 - line]))
                best = max(best, (far, i)) if best else (far, i)
        if best is None or not -1 / 16 < best[0] < 17 / 16:
            return None
        i = best[1]
        step = (points[(i + 1) % 3] - points[(i + 2) % 3]).abs()
        folded = points.clone()
        folded[i] = beyond[i]
        if step[1 - line] < step[line] or bool(_turn(folded).signbit() != _turn(points).signbit()):
            return None
        return int(corners[(i + 1) % 3]), int(corners[(i + 2) % 3]), second


def _edge_functions(corners: Float[Tensor, "*n 3 3"], rays: Float[Tensor, "*m 3"]) -> Float[Tensor, "*k 3"]:
    """Return det(d, v1, v2), det(d, v2, v0) and det(d, v0, v1) of rays d and corners v."""
    normals = torch.linalg.cross(corners.roll(-1, dims=-2), corners.roll(-2, dims=-2))
    edges: Tensor = (normals * rays[..., None, :]).sum(dim=-1)
    return edges


def _turn(points: Float[Tensor, "3 2"]) -> Float[Tensor, ""]:
    (ax, ay), (bx, by) = points[1] - points[0], points[2] - points[0]
    turn: Tensor = ax * by - ay * bx
    return turn


def wings_of(faces: Int64[Tensor, "f 3"]) -> Int64[Tensor, "f 3"]:
    """Return for each face and vertex of it the vertex beyond the opposite edge; itself where nothing is there."""
    opposite: dict[frozenset[int], list[int]] = {}
    rows = faces.tolist()
    for face in rows:
        for own in face:
            met = opposite.setdefault(frozenset(face) - {own}, [])
            if own not in met and len(met) < 2:
                met.append(own)
    wings = [[next((o for o in opposite[frozenset(face) - {own}] if o != own), own) for own in face] for face in rows]
    return torch.tensor(wings, dtype=torch.int64, device=faces.device).reshape(-1, 3)
