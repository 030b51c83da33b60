"""Posed photographs as data."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..components import Build, Data, Draw, Quantities
from ..errors import UserError
from ..frames import fit_cameras
from ..geometry import Camera, Frame, PointCloud
from ..photos.model import Capture, View
from ..photos.sniff import read_capture
from .batches import Epochs
from .images_config import ImagesConfig
from .photographs import Photographs, Section, composite
from .whereabouts import Whereabouts

_NAMED = {"black": (0.0, 0.0, 0.0), "white": (1.0, 1.0, 1.0), "random": (0.0, 0.0, 0.0)}


class Images(Data):
    """Photographs with known cameras, in the training space.

    Sets: `train`, `test` (what is held out), `val` where the format has one, `all`, and `cameras`: all of them without
    their photographs. A batch holds whole photographs (views, height, width, …), squares cut from them (`patch`), or
    single pixels (`rays`); an epoch visits every photograph once.

    Attributes:
        capture: what the reader found, in the world.
        views: the photographs' names and files.
        cameras: theirs at the size used, in the training space.
        photographs: their pixels.
        extent: 1.1 times the largest distance of a camera from the mean of all of them, training units (the scene
            extent of 3D Gaussian splatting, arXiv 2308.04079).
        withheld: (m, 3) float32 sparse points kept out of `points`, in the training space; or None.
        background: (3,) colour behind the photographs; black where each training batch draws another.
    """

    frame: Frame
    bounds: Float[Tensor, "2 3"]
    background: Float[Tensor, "3"]

    def __init__(self, config: ImagesConfig, build: Build) -> None:
        super().__init__(config, build)
        self._config = config
        self.capture: Capture = read_capture(config.path, config.format, images=config.images, **config.reading())
        self.views: tuple[View, ...] = self.capture.views
        sections = [_section(view, config) for view in self.views]
        world = [section.camera(view.camera) for view, section in zip(self.views, sections, strict=True)]
        self.photographs = Photographs(self.views, sections, use_masks=config.masks == "auto")
        self._sets = {name: torch.tensor(members) for name, members in split(self.capture, config.holdout).items()}
        self._epochs = {name: Epochs(len(members)) for name, members in self._sets.items()}
        self._where = Whereabouts(config, self.capture, self.photographs, world, self._sets["train"].tolist())
        self.frame = self._fitted(world, build)
        self.cameras: list[Camera] = [camera.in_training(self.frame) for camera in world]
        corners = np.stack(np.meshgrid(*self._where.box.T), axis=-1).reshape(-1, 3)
        box = self.frame.to_training(corners)
        self.bounds = torch.from_numpy(np.stack([box.min(axis=0), box.max(axis=0)])).float()
        centers = np.stack([camera.center for camera in self.cameras])
        self.extent = 1.1 * float(np.linalg.norm(centers - centers.mean(axis=0), axis=1).max())
        self.withheld = None if self._where.withheld is None else self._in_training(self._where.withheld.points)
        background = _NAMED[config.background] if isinstance(config.background, str) else config.background
        self.background = torch.tensor(background, dtype=torch.float32)
        self._poses = torch.stack([torch.from_numpy(c.world_to_camera).float() for c in self.cameras])
        self._intrinsics = torch.stack([torch.from_numpy(c.intrinsics).float() for c in self.cameras])
        self._start_seed = int(torch.randint(2**62, (1,), generator=build.generator))
        self.times = tuple(sorted({view.time for view in self.views if view.time is not None}))
        self.notes = (self._description(), self._where.description(), *self.capture.notes)

    # -- the scene -----------------------------------------------------------------------------------------------

    @property
    def points(self) -> Float[Tensor, "n 3"]:
        """Points to start from, in the training space."""
        return self._in_training(self._start.points)

    @property
    def point_colors(self) -> Float[Tensor, "n 3"]:
        """Their colours in [0, 1]; grey where nothing is known."""
        return torch.from_numpy(self._start.colors).float()

    def hull(self, count: int, generator: torch.Generator) -> Float[Tensor, "count 3"]:
        """Draw points of the visual hull of the training masks, near its surface, in the training space.

        Raises:
            UserError: there are no masks, or they have no point of space in common.
        """
        if self._where.hull is None:
            raise UserError(f"{self._config.path} has no masks, so there is no visual hull to draw points of.")
        seed = int(torch.randint(2**62, (1,), generator=generator))
        return self._in_training(self._where.hull.sample(count, np.random.default_rng(seed)))

    @cached_property
    def _start(self) -> PointCloud:
        return self._where.start(np.random.default_rng(self._start_seed))

    def _in_training(self, points: Float[np.ndarray, "n 3"]) -> Float[Tensor, "n 3"]:
        return torch.from_numpy(self.frame.to_training(points)).float()

    def _fitted(self, world: Sequence[Camera], build: Build) -> Frame:
        wanted = build.frame_fit
        if wanted.fit == "none":
            return Frame.identity()
        if wanted.fit == "cameras":
            return fit_cameras(world, wanted)
        if wanted.fit == "file" and wanted.path is None:
            if self.capture.frame is None:
                raise UserError(f'[frame] fit = "file" needs path: {self._config.path} has no scale_mat or the like.')
            return self.capture.frame
        points = np.zeros((0, 3)) if wanted.fit == "file" else self._where.points_to_fit()
        return build.frame_of(points)

    def _description(self) -> str:
        sizes = {(camera.width, camera.height) for camera in self.cameras}
        size = " x ".join(map(str, next(iter(sizes)))) if len(sizes) == 1 else f"{len(sizes)} sizes"
        held = f", {len(self._sets['test'])} of them held out" if "test" in self._sets else ""
        memory = f"{self.photographs.nbytes / 1e6:,.0f} MB in memory"
        floats = f" and {4e-6 * self.photographs.nbytes:,.0f} MB as floats" if self.photographs.keeps_floats else ""
        return f"{len(self.views)} photographs ({self.capture.format}) of {size}{held}; {memory}{floats}"

    # -- batches -------------------------------------------------------------------------------------------------

    def holds(self, set_name: str) -> bool:
        return set_name in self._sets

    def members(self, set_name: str) -> list[int]:
        """Return which views a set holds.

        Raises:
            UserError: there is no such set.
        """
        if set_name not in self._sets:
            raise UserError(
                f'{self._config.path} has no set "{set_name}"; it has {", ".join(self._sets)}. '
                "holdout = 8 keeps every 8th photograph as set test."
            )
        found: list[int] = self._sets[set_name].tolist()
        return found

    def batches(self, set_name: str, draw: Any) -> int:
        self.members(set_name or "train")
        return self._epochs[set_name or "train"].batches(draw.views)

    def sample(self, request: Draw) -> Quantities:
        name, options = request.set or "train", request.options
        chosen, generator = self._drawn(request, name), request.generator
        drawn = self._config.background == "random"
        background = torch.rand(3, generator=generator) if drawn else self.background
        if options.rays is not None:
            return self._rays(chosen, options.rays, background, generator, colors=name != "cameras")
        batch = self._cameras_of(chosen, background)
        if name != "cameras":
            batch |= self._whole(chosen, background, kept=not drawn)
        return batch if options.patch is None else _patch(batch, options.patch, generator)

    def _drawn(self, request: Draw, name: str) -> list[int]:
        """Return the views of a batch: the next of the epoch; of a sequence, some of those at the step's time."""
        members, count = self.members(name), request.options.views
        at_time = [i for i in members if request.time is not None and self.views[i].time == request.time]
        if at_time:
            order = torch.randperm(len(at_time), generator=request.stream(request.index))
            return [at_time[i] for i in order[:count].tolist()]
        return [members[i] for i in self._epochs[name].draw(request, count).tolist()]

    def view_batch(self, index: int) -> Quantities:
        """Return the batch of one whole photograph, on `background`; with its depth, where it has one."""
        batch = self._cameras_of([index], self.background)
        return batch | self._whole([index], self.background, kept=self._config.background != "random")

    def image(self, index: int) -> Float[Tensor, "h w 3"]:
        """Return a photograph on `background`, [0, 1]."""
        return self.photographs.color(index, self.background, keep=self._config.background != "random")

    def _cameras_of(self, chosen: Sequence[int], background: Float[Tensor, "3"]) -> Quantities:
        camera = self.cameras[chosen[0]]
        sizes = {(self.cameras[i].width, self.cameras[i].height) for i in chosen}
        if len(sizes) > 1:
            raise UserError(
                f"a batch of {len(chosen)} photographs needs photographs of one size, but there are "
                f"{', '.join(f'{w} x {h}' for w, h in sorted(sizes))}: say views = 1, or rays = 1024 for single pixels."
            )
        batch = {
            "view": torch.tensor(chosen),
            "world_to_camera": self._poses[chosen],
            "intrinsics": self._intrinsics[chosen],
            "size": torch.tensor([camera.height, camera.width]),
            "background": background.expand(len(chosen), 3),
        }
        times = [time for i in chosen if (time := self.views[i].time) is not None]
        return batch | ({"time": torch.tensor(times)} if len(times) == len(chosen) else {})

    def _whole(self, chosen: Sequence[int], background: Float[Tensor, "3"], *, kept: bool) -> Quantities:
        """Return what whole photographs hold."""
        photographs = self.photographs
        batch = {"rgb": _stack([photographs.color(i, background, keep=kept) for i in chosen])}
        if photographs.masked:
            batch["mask"] = _stack([photographs.mask(i) for i in chosen])
        if photographs.partial:
            batch["valid"] = _stack([photographs.valid(i) for i in chosen])
        depths = [d for i in chosen if (d := photographs.depth(i, self.frame.scale)) is not None]
        if len(depths) == len(chosen):
            batch["depth"] = _stack(depths)
        return batch

    def _rays(
        self, chosen: Sequence[int], count: int, background: Float[Tensor, "3"], generator: torch.Generator,
        *, colors: bool,
    ) -> Quantities:  # fmt: skip
        """Return single pixels, equally many of each photograph, drawn uniformly."""
        parts = []
        for turn, index in enumerate(chosen):
            n = (count + len(chosen) - 1 - turn) // len(chosen)
            camera = self.cameras[index]
            place = torch.randint(camera.width * camera.height, (n,), generator=generator)
            y, x = place // camera.width, place % camera.width
            part = self._photographed(index, y, x, background) if colors else {}
            part |= {
                "pixels": torch.stack([x, y], dim=1) + 0.5,
                "view": torch.full((n,), index),
                "world_to_camera": self._poses[index].expand(n, 4, 4),
                "intrinsics": self._intrinsics[index].expand(n, 4),
                "background": background.expand(n, 3),
            }
            if (time := self.views[index].time) is not None:
                part["time"] = torch.full((n,), time)
            parts.append(part)
        shared = set.intersection(*(set(part) for part in parts))
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0] if name in shared}

    def _photographed(
        self, index: int, y: Int[Tensor, " n"], x: Int[Tensor, " n"], background: Float[Tensor, "3"]
    ) -> Quantities:
        photographs, pixels = self.photographs, self.photographs[index]
        cover = None if pixels.cover is None else pixels.cover[y, x]
        part = {"rgb": composite(pixels.rgb[y, x], cover, background)}
        if photographs.masked:
            part["mask"] = torch.ones(len(x)) if cover is None else cover * (1.0 / 255.0)
        if photographs.partial:
            part["valid"] = photographs.valid(index)[y, x]
        if (depth := photographs.depth(index, self.frame.scale)) is not None:
            part["depth"] = depth[y, x]
        return part


def split(capture: Capture, holdout: int | None) -> dict[str, tuple[int, ...]]:
    """Return the sets of a capture as indices of its views.

    Args:
        capture: what the reader found.
        holdout: every how many-th view by name is the set test; 0 for none, None for what the format does.

    Raises:
        UserError: nothing is left to train on.
    """
    everything = tuple(range(len(capture.views)))
    whole = {"all": everything, "cameras": everything}
    if holdout is None and capture.split:
        test = capture.split.get("test") or capture.split.get("val", ())
        val = capture.split.get("val", ())
        return {
            "train": capture.split["train"],
            **({"test": test} if test else {}),
            **({"val": val} if val else {}),
            **whole,
        }
    every = capture.holdout if holdout is None else holdout
    by_name = sorted(everything, key=lambda index: capture.views[index].name)
    test = tuple(sorted(by_name[::every])) if every else ()
    train = tuple(sorted({*everything} - {*test}))
    if not train:
        raise UserError(
            f"holdout = {every} leaves no photograph of {len(everything)} to train on: say 0, or a larger one."
        )
    return {"train": train, **({"test": test} if test else {}), **whole}


def _section(view: View, config: ImagesConfig) -> Section:
    """Return the size at which a view is used: scaled, no larger than `max_size`, and cut."""
    factor = config.scale
    if config.max_size is not None:
        factor = min(factor, config.max_size / max(view.camera.width, view.camera.height))
    scaled = view.camera.scaled(factor)
    return Section(scaled.width, scaled.height, config.crop)


def _stack(tensors: Sequence[Tensor]) -> Tensor:
    """Stack tensors; a single one is not copied."""
    return tensors[0][None] if len(tensors) == 1 else torch.stack([*tensors])


def _patch(batch: Quantities, edge: int, generator: torch.Generator) -> Quantities:
    """Cut one square from all photographs of a batch."""
    height, width = batch["size"].tolist()
    if edge > min(height, width):
        raise UserError(f"patch = {edge} is larger than the photographs, which have {width} x {height} pixels.")
    y = int(torch.randint(height - edge + 1, (1,), generator=generator))
    x = int(torch.randint(width - edge + 1, (1,), generator=generator))
    cut: Quantities = {
        q: batch[q][:, y : y + edge, x : x + edge] for q in ("rgb", "mask", "valid", "depth") if q in batch
    }
    shift = torch.tensor([0.0, 0.0, x, y])
    return {**batch, **cut, "intrinsics": batch["intrinsics"] - shift, "size": torch.tensor([edge, edge])}
