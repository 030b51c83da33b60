"""A finished or interrupted run, opened from its directory: evaluate its fields, mesh, export, judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .data.images_config import ImagesConfig
from .errors import UserError
from .exporting import colored, file_name, surfaces, tidied
from .fields.config import LatentsConfig
from .geometry import Frame, Mesh, write_mesh
from .geometry.mesh_sequence import TRUTH, find_meshes
from .meshing import EmptySurfaceError
from .picture import save_picture
from .recipe.model import ExportTable, FrameTable
from .recipe.plan import Plan
from .rendering import Pictures
from .rundir import RunFolder
from .scene import Scene, SceneView
from .session import Checked, check, choose_device
from .strict_json import dumps
from .suggest import nearest
from .training.checkpoint import Store
from .training.state import load_weights

if TYPE_CHECKING:
    from .components import Data, Field, Mesher
    from .geometry import Camera
    from .geometry.cleanup import Cleanup


class Run:
    """A run directory, opened. Points, meshes and distances are in the user's world, whatever frame it trained in.

    Attributes:
        folder: where its files lie.
        recipe: its resolved recipe.
    """

    def __init__(self, root: str | Path, checked: Checked | None = None, *, device: str = "cpu", which: str = "latest"):
        self.folder = RunFolder.existing(Path(root))
        self._checked = checked or check(self.folder.recipe)
        self.recipe = self._checked.recipe
        self._device, self._which = choose_device(device), which
        self._meshes: dict[tuple[float | None, int | None, str | None, str | None], Mesh] = {}

    @property
    def checked(self) -> Checked:
        """Its recipe as it was read, resolved and wired."""
        return self._checked

    @property
    def plan(self) -> Plan:
        """What the wiring says of the recipe."""
        return self._checked.plan

    @cached_property
    def frame(self) -> Frame:
        """The similarity from the world to the training space."""
        return Frame.load(self.folder.frame)

    @cached_property
    def scene(self) -> Scene:
        """The trained scene, without its data; what is opened of these takes the run's frame."""
        facts = self.folder.read_json(self.folder.scene)
        framed = self.recipe.model_copy(update={"frame": FrameTable(fit="file", path=self.folder.frame)})
        scene = Scene(framed, self._checked.registry, torch.device(self._device))
        scene.bounds = torch.tensor(facts["bounds"])
        scene.build(with_data=False, frame=self.frame)
        checkpoint, _ = Store(self.folder.checkpoints).load(self._which)
        load_weights(scene, checkpoint.tensors["scene"])
        scene.clock.load(checkpoint.state["clock"])
        return scene.eval().requires_grad_(False)

    @cached_property
    def view(self) -> SceneView:
        """The scene with the field that the recipe calls by its role."""
        return self.scene.view()

    def data(self, name: str) -> Data:
        """Return a data table of the recipe, opened on first use, in the run's frame.

        Raises:
            UserError: the recipe has no such table, or its source cannot be read.
        """
        if name not in self.recipe.data:
            close = nearest(name, [*self.recipe.data])
            raise UserError(f"this run has no data {name!r}; closest: {', '.join(close or self.recipe.data)}")
        return self.scene.open_data(name)

    @cached_property
    def photographs(self) -> str | None:
        """Name of the first data table of posed photographs."""
        return next((name for name, spec in self.recipe.data.items() if isinstance(spec.config, ImagesConfig)), None)

    @cached_property
    def held_out(self) -> str | None:
        """Name of the data table of photographs, if some of them are held out as its set test."""
        return self.photographs if self.photographs and self.data(self.photographs).holds("test") else None

    @cached_property
    def pictures(self) -> Pictures | None:
        """What renders images as the recipe's last pass over photographs does; see `Pictures.of`."""
        return Pictures.of(self.scene, self.recipe, self.plan)

    def render(
        self, camera: Camera, t: float | None = None, *, background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    ) -> dict[str, Float[np.ndarray, "h w *c"]]:
        """Return what a camera of the user's world sees: of rgb (h, w, 3), alpha, depth and normal what there is.

        Depth is in world units along the optical axis, normals in world axes; `t` is the time of a scene that moves.

        Raises:
            UserError: the recipe has no renderer of posed images, or a time is missing.
        """
        if self.pictures is None:
            raise UserError("this run cannot render: its recipe has no renderer of posed images")
        return self.pictures.render(camera, self.frame, background, self.inputs(t) if self.timed else None)

    @cached_property
    def shapes(self) -> list[str]:
        """Names of the shapes that have latent codes, in the order of the codes."""
        names: list[str] = self.folder.read_json(self.folder.scene)["shapes"].get(self._coded, [])
        return names

    @cached_property
    def _coded(self) -> str | None:
        """The data table whose shapes have codes."""
        found = (spec.config for spec in self.recipe.fields.values() if isinstance(spec.config, LatentsConfig))
        return next((config.per for config in found), None)

    def frame_of(self, shape: str | None, world: str | None = None) -> Frame:
        """Return the similarity from a shape's own world to the training space, `frame` where it has none; or from
        another world that the data name.

        Raises:
            UserError: they name no such world.
        """
        facts = self.folder.read_json(self.folder.scene)
        frames = facts["shape_frames"].get(self._coded, [])
        name = self.shapes[0] if shape is None and len(self.shapes) == 1 else shape
        if world is not None:
            worlds = facts.get("worlds", {})
            if world not in worlds:
                raise UserError(f"this run has no world {world!r}; it has {', '.join(worlds) or 'only its own'}")
            return Frame.from_dict(worlds[world][self.shapes.index(name) if name in self.shapes else 0])
        return Frame.from_dict(frames[self.shapes.index(name)]) if frames and name in self.shapes else self.frame

    @cached_property
    def timed(self) -> bool:
        """Whether the SDF depends on time."""
        field = self.recipe.fields.get(self.scene.roles().get("sdf", ""))
        return field is not None and "time" in field.config.wiring().provides["sdf"]

    def inputs(self, t: float | None = None, shape: str | None = None) -> dict[str, Tensor]:
        """Return further coordinates as tensors of one row: a time, or a shape's name, or "A:B:0.3" between two.

        Raises:
            UserError: no shape of that name; a run of several shapes needs one, a scene that moves needs a time.
        """
        if self.timed and t is None:
            raise UserError("this scene moves: say at which time in [0, 1], such as --times 0.5")
        fixed = {} if t is None else {"time": torch.tensor([t], device=self.scene.device)}
        if not self.scene.view().has("latents"):
            return fixed
        if shape is None and len(self.shapes) != 1:
            raise UserError(f"this run learnt {len(self.shapes)} shapes: name one, such as --shape {self.shapes[0]}")
        codes = self.scene.view().field("latents")(torch.arange(len(self.shapes), device=self.scene.device))
        names = (shape or self.shapes[0]).split(":")
        if len(names) == 3:
            share = _share(names[2])
            a, b = (codes[self._shape(n)] for n in names[:2])
            return {**fixed, "latent": ((1.0 - share) * a + share * b)[None]}
        return {**fixed, "latent": codes[self._shape(names[0])][None]}

    def _shape(self, name: str) -> int:
        if name not in self.shapes:
            close = nearest(name, self.shapes)
            raise UserError(f"no shape {name!r} in this run; closest: {', '.join(close or self.shapes[:5])}")
        return self.shapes.index(name)

    def sdf(
        self, x: Float[np.ndarray, "n 3"], t: float | None = None, *, shape: str | None = None, chunk: int = 65536
    ) -> Float[np.ndarray, " n"]:
        """Return the signed distance at world points, in world units, negative inside."""
        frame = self.frame_of(shape)
        points = torch.from_numpy(frame.to_training(np.asarray(x, dtype=np.float64))).float()
        fixed = self.inputs(t, shape)
        values = []
        with torch.no_grad():
            for part in points.to(self.scene.device).split(chunk):
                rows = {q: v.expand(len(part), *v.shape[1:]) for q, v in fixed.items()}
                values.append(self.view.evaluate({"points": part, **rows}, frozenset({"sdf"}))["sdf"].cpu())
        distances: Float[np.ndarray, " n"] = torch.cat(values).double().numpy() / frame.scale
        return distances

    def mesh(
        self,
        t: float | None = None,
        resolution: int | None = None,
        *,
        shape: str | None = None,
        world: str | None = None,
    ) -> Mesh:
        """Return the surface in world units, by the mesher of the recipe; `world` as `frame_of` takes it.

        Raises:
            EmptySurfaceError: the field has no level set in the data's box; the message says why.
        """
        if self.recipe.export is None:
            raise UserError("the recipe has no [export] table, so no mesher")
        key = (t, resolution, shape, world)
        if key not in self._meshes:
            mesher: Mesher = self.scene.make(self.recipe.export.mesher)
            surface = mesher(self.view, resolution=resolution, inputs=self.inputs(t, shape))
            mesh = Mesh(self.frame_of(shape, world).to_world(surface.vertices), surface.faces)
            self._meshes = {key: self._tidied(mesh, self.recipe.export)}
        return self._meshes[key]

    def _tidied(self, mesh: Mesh, table: ExportTable) -> Mesh:
        if table.crop is None and table.keep == "all" and not table.cull:
            return mesh
        return tidied(mesh, table, self)

    def _colored(self, mesh: Mesh, say: Callable[[str], None]) -> Mesh:
        if self.recipe.export is None or not self.recipe.export.colors or self.photographs is None or not self.pictures:
            return mesh
        try:
            return colored(mesh, self)
        except UserError as error:
            say(f"the mesh has no colours: {error}")
            return mesh

    def export(
        self, *, resolution: int | None = None, times: Sequence[float] = (), shape: str | None = None,
        world: str | None = None,
        output: Path | None = None, cleanup: Cleanup | None = None, say: Callable[[str], None] = lambda text: None,
    ) -> list[Path]:  # fmt: skip
        """Write meshes in world units; return their files. Those of the run directory get a picture each, in images/.

        `shape` may be "A:B:n" for n meshes from one shape to another. A scene that moves is written at its start,
        middle and end where no times are given; a time at which it is empty is passed over, and told. What a clean-up
        did stands in a .json beside the mesh.
        """
        ending = self.recipe.export.format if self.recipe.export else "ply"
        written = []
        wanted: dict[str, Any] = {"resolution": resolution, "times": times, "shape": shape, "world": world}
        for found in surfaces(self, cleanup=cleanup, say=say, **wanted):
            mesh = self._colored(found.mesh, say) if found.time is None and world is None else found.mesh
            path = found.path(output, self.folder.meshes, ending)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_mesh(path, mesh.vertices, mesh.faces, colors=mesh.colors)
            written.append(path)
            if found.record is not None:
                self.folder.write_json(path.with_name(f"{path.name}.json"), found.record)
            if output is None:
                picture = self.folder.images / f"{found.stem}.png"
                save_picture(mesh, picture)
                say(f"picture: {picture}")
        return written

    @cached_property
    def writable(self) -> dict[str, str]:
        """What can be exported besides a mesh, with the field that writes it."""
        kinds = ((field.exports, name) for name, field in self.scene.fields.items())
        return {str(kind): name for kind, name in reversed([*kinds]) if kind is not None}

    def export_field(
        self, what: str, output: Path | None = None, *, times: Sequence[float] = (),
        say: Callable[[str], None] = lambda text: None,
    ) -> list[Path]:  # fmt: skip
        """Write what a field writes of itself ("gaussians"), in world units; return the files.

        A field that moves is written at its start, middle and end where no times are given; a time at which it is
        empty is passed over, and told. Gaussians are written in the PLY layout of viewers or, where `output` ends in
        .splat, in that format.

        Raises:
            UserError: no field of this run writes that, or not in that format; times are given for one that does not
                move.
        """
        if what not in self.writable:
            close = nearest(what, ["mesh", *self.writable])
            hint = f"; closest: {close[0]}" if close else ""
            raise UserError(f"--what {what}: this run has {' and '.join(['mesh', *self.writable])}{hint}")
        name = self.writable[what]
        needs = self.recipe.fields[name].config.wiring().provides.values()
        moves = self.timed and any(q in ("time", "time?") for each in needs for q in each)
        if times and not moves:
            raise UserError(f'--times: the field "{name}" does not move')
        moments: Sequence[float | None] = times or ((0.0, 0.5, 1.0) if moves else (None,))
        folder = self.folder.root / what if output is None else output
        field: Field = self.scene.fields[name]  # type: ignore[assignment]
        written = []
        for t in moments:
            stem = folder / (name if t is None else f"{name}_t{t:.3f}")
            if output is not None and len(moments) == 1:
                stem = output.with_suffix("")
            stem.parent.mkdir(parents=True, exist_ok=True)
            try:
                written += field.export(stem, self.frame, t)
            except EmptySurfaceError as error:
                if len(moments) == 1:
                    raise
                say(f"no {what} at time {t:g}: {error}")
        if output is None or output.suffix.lower() != ".splat":
            return written
        from .exporting import as_splat

        return [as_splat(file) for file in written]

    def eval(
        self, protocol: str = "neuralfw", *, reference: Path | None = None, shape: str | None = None
    ) -> dict[str, Any]:
        """Compare with a reference by a named protocol; the figures also go to eval/.

        Protocol "views" compares renderings and the mesh with the photographs held out, "training_views" with those
        learnt from, and both leave pictures of some in images/; "cameras" compares learnt cameras with the true ones;
        "sequence" a surface that moves with a folder of numbered meshes; every other one the mesh with a reference.

        Raises:
            UserError: no reference is given or in the recipe, or no protocol of that name exists.
        """
        if protocol in ("views", "training_views"):
            from .judged_views import evaluate_photographs

            result = evaluate_photographs(self, protocol)
        elif protocol == "cameras":
            from .learnt_cameras import evaluate_cameras

            result = evaluate_cameras(self)
        else:
            from .judged_surface import evaluate_surface

            result = evaluate_surface(self, protocol, reference, shape)
        name = protocol if shape is None else f"{protocol}_{file_name(shape)}"
        self.folder.eval.mkdir(exist_ok=True)
        (self.folder.eval / f"{name}.json").write_text(dumps(result, indent=2) + "\n", encoding="utf-8")
        return result

    def report(self, path: Path | None = None, *, reference: Path | None = None) -> Path:
        """Write the page of the run, one file of HTML, report.html by default; see `neuralfw.pages.report`."""
        from .pages.report import write_report

        return write_report(self, path, reference=reference)

    @cached_property
    def reference(self) -> Path | None:
        """The truth: what [evaluate] names, else the meshes that its photographs were made of; a folder if many."""
        if self.recipe.evaluate.reference is not None or self.photographs is None:
            return self.recipe.evaluate.reference
        config = self.recipe.data[self.photographs].config
        assert isinstance(config, ImagesConfig)
        files = find_meshes(folder := config.path / TRUTH)
        return None if not files else files[0] if len(files) == 1 else folder

    def surface_protocol(self, reference: Path | None = None) -> str:
        """The protocol by which its surface is judged where none is named."""
        truth, named = reference or self.reference, self.recipe.evaluate.protocol
        return "sequence" if truth is not None and truth.is_dir() and named == "neuralfw" else named

    @cached_property
    def protocols(self) -> list[str]:
        """The protocols by which this run is judged where none is named."""
        from .learnt_cameras import learnt_cameras

        possible = {
            self.surface_protocol(): self.reference is not None,
            "views": self.held_out is not None,
            "cameras": learnt_cameras(self) is not None,
        }
        return [name for name, able in possible.items() if able] or [self.surface_protocol()]


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError as error:
        raise UserError(f"expected a shape as NAME or A:B:0.3, found the share {text!r}") from error
    return share
