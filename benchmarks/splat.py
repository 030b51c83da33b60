"""Splatting on a CPU: our rasteriser against OpenSplat's or plain PyTorch, SSIM against convolutions, a step's parts.

    python benchmarks/splat.py [--garden FILE] [--opensplat BUILD] [--size 400x260 800x520] [--rounds N] [--threads N]

The scene is gsplat's garden (its assets/test_garden.npz, cropped to ±2, with random shapes and opacities, as its tests
have it), or without FILE a random one of as many Gaussians. All rasterisers get the same projected Gaussians and go
forward and backward, the sorting into tiles included; medians of interleaved rounds in one process. BUILD is a folder
with a Python module `opensplat_cpu` around OpenSplat's CPU rasteriser: `forward(width, height, pixels, conics, colors,
opacities, background, covariances, depths) -> image, transmittance, handle` and `backward(height, width, (the same
seven), transmittance, handle, d_image, d_alpha)`; without it the opponent is PyTorch, tile by tile, the tiles' lists
given free.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from neuralfw.threads import numba_threads
from neuralfw_gaussians import dssim
from neuralfw_gaussians.backends import cpu
from neuralfw_gaussians.contract import NEAR, Settings, Splats, View
from neuralfw_gaussians.kernels.binning import TILE, Bins, bins
from neuralfw_gaussians.kernels.projection import project
from neuralfw_gaussians.kernels.raster import ALPHA_MAX, ALPHA_MIN, HEAD, SUMS, T_MIN, add_up, kernels

GARDEN = 111_785
Work = Callable[[], object]


def scene(garden: Path | None) -> tuple[Splats, Tensor, Tensor, tuple[int, int]]:
    """Return Gaussians, a pose, intrinsics and the size (width, height) of the image that these belong to."""
    g = torch.Generator().manual_seed(42)
    if garden:
        with np.load(garden, allow_pickle=False) as file:
            means, colors = torch.from_numpy(file["means3d"]).float(), torch.from_numpy(file["colors"] / 255.0).float()
            pose, K = torch.from_numpy(file["viewmats"][0]).float(), file["Ks"][0]
            size = int(file["width"]), int(file["height"])
        near = (means.abs() <= 2.0).all(dim=1)
        means, colors = means[near], colors[near]
        intrinsics = torch.tensor([K[0, 0], K[1, 1], K[0, 2], K[1, 2]], dtype=torch.float32)
    else:
        means = torch.randn(GARDEN, 3, generator=g) * torch.tensor([0.8, 0.4, 0.8])
        colors = torch.rand(GARDEN, 3, generator=g)
        pose, size = torch.eye(4), (648, 420)
        pose[2, 3] = 1.6
        intrinsics = torch.tensor([480.0, 480.0, 324.0, 210.0])
    count = len(means)
    splats = Splats(
        means=means,
        scales=1e-4 + (0.02 - 1e-4) * torch.rand(count, 3, generator=g),
        rotations=torch.nn.functional.normalize(torch.randn(count, 4, generator=g), dim=1),
        opacities=torch.rand(count, generator=g),
        sh=((colors - 0.5) / 0.28209479177387814)[:, None],
    )
    return splats, pose, intrinsics, size


@dataclass
class Projected:
    """What all rasterisers get: Gaussians on the image, those that are seen, and gradients to go back with."""

    rows: np.ndarray
    boxes: np.ndarray
    depths: np.ndarray
    width: int
    height: int
    d_image: Tensor
    d_alpha: Tensor


def projected(splats: Splats, view: View) -> Projected:
    """Project, and leave out what is not seen."""
    count, radii = len(splats.means), np.empty(len(splats.means), np.float32)
    rows, boxes = np.zeros((count, 16), np.float32), np.empty((count, 4), np.int32)
    depths, features = np.empty(count, np.float32), np.empty((count, 0), np.float32)
    pose = view.world_to_camera.double().numpy()
    project(
        *(t.numpy() for t in vars(splats).values()), features, pose, tuple(view.intrinsics.tolist()),
        -pose[:3, :3].T @ pose[:3, 3], view.width, view.height, NEAR, False, False, rows, boxes, depths, radii,
    )  # fmt: skip
    seen = np.flatnonzero(radii)
    g = torch.Generator().manual_seed(1)
    d_image, d_alpha = (torch.rand(view.height, view.width, *c, generator=g) for c in ((3,), ()))
    return Projected(rows[seen], boxes[seen], depths[seen], view.width, view.height, d_image, d_alpha)


class Ours:
    """The numba kernels."""

    def __init__(self, p: Projected) -> None:
        self.p = p
        self.image = np.empty((p.height, p.width, 3), np.float32)
        self.left, self.stop = (np.empty((p.height, p.width), np.float32) for _ in range(2))

    def sort(self) -> None:
        self.bins: Bins = bins(self.p.depths, self.p.boxes, self.p.width, self.p.height)

    def composite(self) -> None:
        p = self.p
        kernels(3).forward(
            p.rows, self.bins.meetings, self.bins.starts, p.width, p.height, self.image, self.left, self.stop
        )

    def forward(self) -> None:
        self.sort()
        self.composite()

    def backward(self) -> None:
        p = self.p
        self.slots = cpu._buffer("slots", len(self.bins.meetings), SUMS + 3)
        self.sums = cpu._buffer("sums", len(p.rows), SUMS + 3)
        kernels(3).backward(
            p.rows, self.bins.meetings, self.bins.starts, p.width, p.height, self.left, self.stop,
            p.d_image.numpy(), p.d_alpha.numpy(), False, self.slots,
        )  # fmt: skip
        add_up(self.slots, self.bins.offsets, self.sums)

    def d_colors(self) -> np.ndarray:
        return self.sums[:, SUMS : SUMS + 3]


class Opponent:
    """What the opponents read: pixels, conics, colours and opacities as tensors."""

    def __init__(self, p: Projected) -> None:
        self.p = p
        rows = torch.from_numpy(p.rows)
        a, b, c = (rows[:, 2:5] * np.log(2.0) * torch.tensor([2.0, 1.0, 2.0])).unbind(dim=1)
        self.pixels, self.conics = rows[:, :2].contiguous(), torch.stack([a, b, c], dim=1)
        self.colors = rows[:, HEAD : HEAD + 3].contiguous()
        self.opacities, self.depths = torch.exp2(rows[:, 5:6]), torch.from_numpy(p.depths)
        self.covariances = torch.linalg.inv(torch.stack([a, b, b, c], dim=1).reshape(-1, 2, 2))


class OpenSplat(Opponent):
    """OpenSplat's CPU rasteriser, which works in a single thread."""

    name = "OpenSplat"

    def __init__(self, p: Projected, module: ModuleType) -> None:
        super().__init__(p)
        corner = self.pixels - 0.5  # it takes pixels at whole numbers
        self._module = module
        self._given = (
            corner, self.conics, self.colors, self.opacities, torch.zeros(3), self.covariances, self.depths
        )  # fmt: skip

    def forward(self) -> None:
        self.image, *self._kept = self._module.forward(self.p.width, self.p.height, *self._given)

    def backward(self) -> None:
        p = self.p
        gradients = self._module.backward(p.height, p.width, *self._given, *self._kept, p.d_image, p.d_alpha)
        self.gradient = gradients[2]


class Torch(Opponent):
    """Plain PyTorch and autograd, tile by tile; the tiles' lists cost it nothing."""

    name = "PyTorch"

    def __init__(self, p: Projected, lists: Bins) -> None:
        super().__init__(p)
        self._leaves = [t.requires_grad_() for t in (self.pixels, self.conics, self.colors, self.opacities)]
        self._ids, self._starts = torch.from_numpy(lists.meetings[:, 0].astype(np.int64)), lists.starts

    def forward(self) -> None:
        p, columns = self.p, -(-self.p.width // TILE)
        self.image, self._alpha = torch.zeros(p.height, p.width, 3), torch.zeros(p.height, p.width)
        self._parts = []
        for tile, (first, end) in enumerate(zip(self._starts[:-1], self._starts[1:], strict=True)):
            y, x = tile // columns * TILE, tile % columns * TILE
            here = slice(y, min(y + TILE, p.height)), slice(x, min(x + TILE, p.width))
            image, alpha = self._tile(self._ids[first:end], here)
            self.image[here], self._alpha[here] = image.detach(), alpha.detach()
            self._parts.append((here, image, alpha))

    def _tile(self, ids: Tensor, here: tuple[slice, slice]) -> tuple[Tensor, Tensor]:
        y, x = torch.meshgrid(*(torch.arange(s.start, s.stop) + 0.5 for s in here), indexing="ij")
        dx, dy = (q[..., None] - m for q, m in zip((x, y), self.pixels[ids].unbind(dim=1), strict=True))
        a, b, c = self.conics[ids].unbind(dim=1)
        alpha = self.opacities[ids, 0] * torch.exp(-0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy)
        alpha = torch.where(alpha < ALPHA_MIN, 0.0, alpha.clamp_max(ALPHA_MAX))
        after = torch.cumprod(1.0 - alpha, dim=2)
        going = after.detach() >= T_MIN
        before = torch.cat([torch.ones_like(after[..., :1]), after[..., :-1]], dim=2)
        weights = torch.where(going, alpha * before, 0.0)
        return weights @ self.colors[ids], weights.sum(dim=2)

    def backward(self) -> None:
        loss = sum((i * self.p.d_image[h]).sum() + (a * self.p.d_alpha[h]).sum() for h, i, a in self._parts)
        self.gradient = torch.autograd.grad(loss, self._leaves)[2]


def medians(work: dict[str, Work], rounds: int, calls: int = 1) -> dict[str, float]:
    """Return the median of each in ms; all take turns, with some calls each, after a round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(rounds + 1):
        for name, do in work.items():
            start = time.perf_counter()
            for _ in range(calls):
                do()
            if turn:
                times[name].append(1e3 * (time.perf_counter() - start) / calls)
    return {name: statistics.median(t) for name, t in times.items()}


def raster(splats: Splats, view: View, module: ModuleType | None, rounds: int) -> None:
    """Compare the rasterisers at one size."""
    given = projected(splats, view)
    ours = Ours(given)
    ours.sort()
    other = OpenSplat(given, module) if module else Torch(given, ours.bins)
    with numba_threads():
        found = medians(
            {"sort": ours.sort, "f": ours.forward, "b": ours.backward, "F": other.forward, "B": other.backward}, rounds
        )
    print(f"{view.width}x{view.height}: {len(given.rows)} seen, {len(ours.bins.meetings)} meetings with tiles")
    for name, forward, backward in (("ours", found["f"], found["b"]), (other.name, found["F"], found["B"])):
        print(f"  {name:10} forward {forward:8.1f} ms, backward {backward:8.1f} ms, both {forward + backward:8.1f} ms")
    ratio = (found["F"] + found["B"]) / (found["f"] + found["b"])
    difference = np.abs(ours.image - other.image.numpy()).max()
    gradient = np.linalg.norm(ours.d_colors() - other.gradient.numpy()) / np.linalg.norm(ours.d_colors())
    print(f"  {ratio:.1f} times {other.name}; sorting {found['sort']:.1f} ms of ours")
    print(f"  apart: image {difference:.1e} at most, gradient of the colours {gradient:.1e} of its length")


def customary(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """SSIM as most training scripts have it: five convolutions by the same square window."""
    row = torch.from_numpy(dssim._WINDOW)
    kernel = (row[:, None] * row[None, :]).expand(3, 1, 11, 11).contiguous()

    def filtered(image: Tensor) -> Tensor:
        return torch.nn.functional.conv2d(image, kernel, padding=5, groups=3)

    x, y = (image.permute(2, 0, 1)[None] for image in (a, b))
    u, v = filtered(x), filtered(y)
    xx, yy, xy = filtered(x * x) - u * u, filtered(y * y) - v * v, filtered(x * y) - u * v
    top, bottom = (2 * u * v + 0.01**2) * (2 * xy + 0.03**2), (u * u + v * v + 0.01**2) * (xx + yy + 0.03**2)
    return (top / bottom * share).sum()


def similarity(width: int, height: int, rounds: int) -> None:
    """Compare SSIM with its gradient to that by convolutions."""
    g = torch.Generator().manual_seed(0)
    a, b = (torch.rand(height, width, 3, generator=g) for _ in range(2))
    share = torch.full((height, width), 1.0 / (3 * height * width))

    def through(function: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Work:
        leaf = a.clone().requires_grad_()
        return lambda: torch.autograd.grad(function(leaf, b, share), leaf)

    opponents = {"five convolutions": customary, "one grouped convolution": dssim.plain}
    found = medians({"ours": through(dssim.similarity), **{n: through(f) for n, f in opponents.items()}}, rounds, 5)
    print(f"SSIM {width}x{height}: ours {found['ours']:.1f} ms", end="")
    for name in opponents:
        print(f"; {name} {found[name]:.1f} ms, {found[name] / found['ours']:.1f} times", end="")
    print()


def step(splats: Splats, view: View, rounds: int) -> None:
    """Time the parts of a training step with 16 harmonics: all that the renderer does, the losses, Adam."""
    splats = replace(splats, sh=torch.nn.functional.pad(splats.sh, (0, 0, 0, 15)))
    leaves = Splats(**{name: tensor.clone().requires_grad_() for name, tensor in vars(splats).items()})
    screen, photograph = torch.zeros(len(leaves.means), 2), torch.rand(view.height, view.width, 3)
    share = torch.full((view.height, view.width), 1.0 / photograph.numel())
    adam = torch.optim.Adam(list(vars(leaves).values()), lr=0.0, fused=True)
    kept: dict[str, Tensor] = {}

    def render() -> None:
        kept["image"] = cpu.render(leaves, view, Settings(), screen).rgb

    def losses() -> None:
        leaf = kept["image"].detach().requires_grad_()
        loss = 0.8 * (leaf - photograph).abs().mean() + 0.2 * (1.0 - dssim.similarity(leaf, photograph, share))
        (kept["gradient"],) = torch.autograd.grad(loss, leaf)

    work: dict[str, Work] = {
        "render": render, "losses": losses, "backward": lambda: kept["image"].backward(kept["gradient"]),
        "Adam": adam.step, "zero": adam.zero_grad,
    }  # fmt: skip
    found = medians(work, rounds)
    parts = ", ".join(f"{name} {found[name]:.1f}" for name in work)
    print(
        f"a step of {len(leaves.means)} Gaussians at {view.width}x{view.height}, ms: {parts}; {sum(found.values()):.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--garden", type=Path, help="gsplat's assets/test_garden.npz")
    parser.add_argument("--opensplat", type=Path, metavar="BUILD", help="folder with the module opensplat_cpu")
    parser.add_argument("--size", nargs="+", default=["400x260", "800x520"], help="of the images")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2, help="ours; OpenSplat takes one")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    module = None
    if arguments.opensplat:
        sys.path.insert(0, str(arguments.opensplat))
        import opensplat_cpu as module
    splats, pose, intrinsics, size = scene(arguments.garden)
    for width, height in (map(int, text.split("x")) for text in arguments.size):
        scaled = intrinsics * torch.tensor([width / size[0], height / size[1]]).repeat(2)
        view = View(pose, scaled, width, height)
        raster(splats, view, module, arguments.rounds if module else min(arguments.rounds, 3))
        step(splats, view, arguments.rounds)
        similarity(width, height, arguments.rounds)


if __name__ == "__main__":
    main()
