"""The viewer: a server that shows a run to browsers, with switches and sliders for what it holds."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np

from ..errors import UserError
from ..film.shots import upward
from ..geometry import Camera, Mesh, read_mesh
from .contents import Contents
from .page import Page, quaternion

FRAMES = 21
"""Positions of the slider of time."""


class Viewer:
    """A run in a browser, from `start` on until `stop`.

    Attributes:
        server: viser's.
        url: where a browser finds it.
    """

    def __init__(self, contents: Contents, *, host: str = "127.0.0.1", port: int = 8080) -> None:
        """Open a server; another port is taken where `port` is in use.

        Args:
            contents: of a run.
            host: address that it listens on; 0.0.0.0 lets other machines in.
            port: of the server.

        Raises:
            UserError: viser is not installed, or the address cannot be used.
        """
        self._contents = contents
        self._page = Page(contents.run.recipe.name, host=host, port=port)
        self.server, self.url = self._page.server, self._page.url
        self._time: float | None = 0.0 if contents.moves else None
        self._look = "shape"
        self._shown: Mesh | None = None
        self.parts: dict[str, Any] = {}

    def __enter__(self) -> Viewer:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Show what the run holds. Parts whose files are gone are left out, and told on the panel."""
        gui = self.server.gui
        gui.add_markdown(f"**{self._contents.run.recipe.name}**  \n{self._contents.run.folder.root}")
        for part in (self._surface, self._gaussians, self._cameras, self._points, self._slice):
            try:
                part()
            except UserError as error:
                gui.add_markdown(f"*{error}*")
        self._look_at_it()

    def _look_at_it(self) -> None:
        """Let a browser that connects look at the surface, or at the whole box where there is none, upright."""
        box = self._contents.box
        if self._shown is not None:
            box = np.stack([self._shown.vertices.min(axis=0), self._shown.vertices.max(axis=0)])
        try:
            up = upward(self._contents.run)
        except UserError:
            up = np.array([0.0, 1.0, 0.0])
        self._page.look_at(box, up)

    def serve(self) -> None:
        """Wait until Ctrl-C."""
        while True:
            time.sleep(3600.0)

    def stop(self) -> None:
        """Close the server and its connections."""
        self._page.stop()

    # -- parts -------------------------------------------------------------------------------------------------------

    def _surface(self) -> None:
        contents, gui = self._contents, self.server.gui
        if not contents.files and contents.run.recipe.export is None:
            return
        with gui.add_folder("surface"):
            seen = self._switch("surface", gui.add_checkbox("show", initial_value=True), ["/surface", "/edges"])
            look = gui.add_dropdown("look", contents.looks)
            edges = gui.add_checkbox("wireframe", False)
            self.parts |= {"look": look, "wireframe": edges}
            if contents.moves:
                moment = gui.add_slider("time", 0.0, 1.0, 1.0 / (FRAMES - 1), 0.0)
                moment.on_update(lambda _: self._at(moment.value))
                self.parts["time"] = moment
            elif len(contents.files) > 1:
                self._choice(gui.add_dropdown("mesh", [*contents.files]))
            if contents.steps:
                saved = sorted(contents.steps)
                marks = tuple((index, f"{step:,}") for index, step in enumerate(saved))
                chosen = gui.add_slider(
                    "training step", 0, len(saved), 1, len(saved), marks=(*marks, (len(saved), "end"))
                )
                chosen.on_update(lambda _: self._step(None if chosen.value == len(saved) else saved[chosen.value]))
                self.parts["step"] = chosen
        look.on_update(lambda _: self._painted(look.value))
        edges.on_update(lambda _: self._draw())
        seen.on_update(lambda _: self._draw())
        if contents.moves or "mesh" in contents.files or not contents.files:
            self._shown = contents.mesh(self._time)
        else:
            self._shown = read_mesh(next(iter(contents.files.values())))
        self._draw()

    def _gaussians(self) -> None:
        found = self._contents.gaussians
        if found is None:
            return
        with self.server.gui.add_folder("Gaussians"):
            box = self.server.gui.add_checkbox("show", self._shown is None)
        self._page.gaussians(found, visible=box.value)
        self._switch("gaussians", box, ["/gaussians"])

    def _cameras(self) -> None:
        cameras = self._contents.cameras
        if not cameras:
            return
        with self.server.gui.add_folder("photographs"):
            box = self.server.gui.add_checkbox("show", False)
        low, high = self._contents.box
        scale = 0.06 * float(np.linalg.norm(high - low))
        names = []
        for index, (camera, picture) in enumerate(cameras):
            names.append(f"/cameras/{index}")
            wxyz, place = _pose(camera)
            frustum = self.server.scene.add_camera_frustum(
                names[-1], fov=2.0 * np.arctan(0.5 * camera.height / camera.fy), aspect=camera.width / camera.height,
                scale=scale, image=picture, wxyz=wxyz, position=place, visible=False,
            )  # fmt: skip
            frustum.on_click(self._stand_at(camera))
        self._switch("cameras", box, names)

    def _points(self) -> None:
        points = self._contents.points
        if points is None:
            return
        with self.server.gui.add_folder("points"):
            box = self.server.gui.add_checkbox("show", False)
        low, high = self._contents.box
        size = 0.003 * float(np.linalg.norm(high - low))
        self.server.scene.add_point_cloud(
            "/points", points.astype(np.float32), (200, 90, 30), point_size=size, point_shape="circle",
            precision="float32", visible=False,
        )  # fmt: skip
        self._switch("points", box, ["/points"])

    def _slice(self) -> None:
        if not self._contents.run.view.has("sdf"):
            return
        gui = self.server.gui
        with gui.add_folder("slice of the SDF"):
            box = gui.add_checkbox("show", False)
            axis = gui.add_dropdown("across", ["x", "y", "z"], initial_value="z")
            place = gui.add_slider("at", 0.0, 1.0, 0.02, 0.5)
        for handle in (box, axis, place):
            handle.on_update(lambda _: self._cut())
        self.parts |= {"slice": box, "slice axis": axis, "slice at": place}

    # -- what the panel does -----------------------------------------------------------------------------------------

    def _draw(self) -> None:
        """Bring the surface on the screen in line with the panel."""
        self._remove("/surface", "/edges")
        mesh = self._shown
        if mesh is None or not self.parts["surface"].value:
            return
        painted = self._contents.painted(mesh, self._look, self._time)
        self._add("/surface", self._page.surface(painted))
        if self.parts["wireframe"].value:
            edges = self.server.scene.add_mesh_simple(
                "/edges", mesh.vertices.astype(np.float32), mesh.faces, color=(20, 20, 20), wireframe=True
            )
            self._add("/edges", edges)

    def _painted(self, look: str) -> None:
        self._look = look
        self._draw()

    def _at(self, moment: float) -> None:
        self._time = round(float(moment), 6)
        self._shown = self._contents.mesh(self._time)
        self._draw()
        self._cut()

    def _step(self, step: int | None) -> None:
        """Show the surface as it was at a step of the training, or at its end."""
        self._shown = self._contents.mesh(self._time) if step is None else read_mesh(self._contents.steps[step])
        self._draw()

    def _choice(self, dropdown: Any) -> None:
        self.parts["mesh"] = dropdown

        def choose(_: object) -> None:
            self._shown = read_mesh(self._contents.files[dropdown.value])
            self._draw()

        dropdown.on_update(choose)

    def _cut(self) -> None:
        self._remove("/slice")
        if "slice" not in self.parts or not self.parts["slice"].value:
            return
        axis = "xyz".index(self.parts["slice axis"].value)
        plane = self._contents.sliced(axis, float(self.parts["slice at"].value), self._time)
        across, down = (edge / np.linalg.norm(edge) for edge in (plane.across, plane.down))
        rotation = np.stack([across, down, np.cross(across, down)], axis=1)
        self._add(
            "/slice",
            self.server.scene.add_image(
                "/slice", plane.image, float(np.linalg.norm(plane.across)), float(np.linalg.norm(plane.down)),
                format="png", wxyz=quaternion(rotation), position=plane.center,
            ),
        )  # fmt: skip

    def _stand_at(self, camera: Camera) -> Callable[[Any], None]:
        def stand(event: Any) -> None:
            """Look from the camera that was clicked on."""
            view = event.client.camera
            wxyz, place = _pose(camera)
            view.wxyz, view.position = wxyz, place

        return stand

    def _switch(self, name: str, box: Any, nodes: list[str]) -> Any:
        """Let a box on the panel show and hide parts of the scene."""
        self.parts[name] = box
        scene = self.server.scene

        def toggle(_: object) -> None:
            for node in nodes:
                if (handle := scene.get_handle_by_name(node)) is not None:
                    handle.visible = box.value

        box.on_update(toggle)
        return box

    def _add(self, name: str, handle: Any) -> None:
        self.parts[name] = handle

    def _remove(self, *names: str) -> None:
        for name in names:
            if (handle := self.parts.pop(name, None)) is not None:
                handle.remove()


def _pose(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Return the quaternion (w, x, y, z) of camera axes in the world, and the camera's centre."""
    return quaternion(camera.world_to_camera[:3, :3].T), camera.center
