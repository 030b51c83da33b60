"""The page that a server shows to browsers, and what can be put on it: surfaces, Gaussians, where one looks from."""

from __future__ import annotations

from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float64

from ..errors import UserError
from ..geometry import Mesh
from ..geometry.rotation import quaternion_of_matrix
from ..geometry.splats import SH_0, Stored
from ..optional import optional
from .contents import covariances


class Page:
    """A server, from now until `stop`.

    Attributes:
        server: viser's.
        url: where a browser finds it.
    """

    def __init__(self, label: str, *, host: str = "127.0.0.1", port: int = 8080) -> None:
        """Open a server; another port is taken where `port` is in use.

        Args:
            label: title of the page.
            host: address that it listens on; 0.0.0.0 lets other machines in.
            port: of the server.

        Raises:
            UserError: viser is not installed, or the address cannot be used.
        """
        viser = optional("viser", "viewer", "the viewer")
        try:
            self.server: Any = viser.ViserServer(host=host, port=port, verbose=False, label=label)
        except OSError as error:
            raise UserError(f"--host {host} --port {port}: cannot listen there: {error}") from error
        self.url = f"http://{'localhost' if host == '127.0.0.1' else host}:{self.server.get_port()}"
        self.server.gui.configure_theme(show_share_button=False)

    def stop(self) -> None:
        """Close the server and its connections."""
        self.server.stop()

    def look_at(self, box: Float64[np.ndarray, "2 3"], up: Float64[np.ndarray, "3"]) -> None:
        """Let browsers look at a box, upright, from a little above: those that are there, and those that come."""
        middle, reach = box.mean(axis=0), float(np.linalg.norm(box[1] - box[0]))
        aside = np.cross(up, np.eye(3)[np.argmin(np.abs(up))])
        self.server.scene.set_up_direction(up)
        for camera in (self.server.initial_camera, *(client.camera for client in self.server.get_clients().values())):
            camera.look_at, camera.up = middle, up
            camera.position = middle + 0.9 * reach * (aside / np.linalg.norm(aside) + 0.4 * up)

    def surface(self, mesh: Mesh) -> Any:
        """Show a mesh with colours in place of the one before; return its handle."""
        assert mesh.colors is not None
        colors = np.round(255.0 * mesh.colors).astype(np.uint8)
        shown = trimesh.Trimesh(mesh.vertices.astype(np.float32), mesh.faces, vertex_colors=colors, process=False)
        return self.server.scene.add_mesh_trimesh("/surface", shown)

    def gaussians(self, found: Stored, *, visible: bool = True) -> Any:
        """Show Gaussians in place of those before; return their handle."""
        color = np.clip(0.5 + SH_0 * found.sh[:, 0].astype(np.float64), 0.0, 1.0)
        opacity = 1.0 / (1.0 + np.exp(-found.opacity_logits.astype(np.float64)))
        return self.server.scene.add_gaussian_splats(
            "/gaussians", found.means, covariances(found).astype(np.float32), color, opacity[:, None], visible=visible
        )


def quaternion(rotation: Float64[np.ndarray, "3 3"]) -> Float64[np.ndarray, "4"]:
    """Return the quaternion (w, x, y, z) of a rotation."""
    import torch

    found: Float64[np.ndarray, "4"] = quaternion_of_matrix(torch.from_numpy(np.ascontiguousarray(rotation))[None])[
        0
    ].numpy()
    return found
