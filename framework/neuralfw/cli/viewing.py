"""The verb view: a run in a browser."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o
from .app import app


@app.command()
def view(
    run: o.RunDirectory,
    host: o.Host = "127.0.0.1",
    port: o.Port = 8080,
    reference: o.Reference = None,
    resolution: Annotated[
        int, typer.Option("--resolution", metavar="N", min=2, help="Of meshes where none is exported, as in between.")
    ] = 64,
    device: o.Device = "auto",
) -> None:
    """Show a run in a browser.

    Its surface by shape, colours, normals or error, with a wireframe; Gaussians, the cameras of the photographs with
    their pictures, points, a slice of the SDF; sliders of time, where the scene moves, and of the steps of training,
    where meshes of these were kept ([log] pictures). Only this machine is let in, unless --host says otherwise: from
    another one, ssh -L 8080:localhost:8080 MACHINE forwards the port. Ctrl-C ends it.
    """
    from ..run import Run
    from ..viewer.contents import Contents
    from ..viewer.viewer import Viewer

    contents = Contents(Run(run, device=device), reference=reference, resolution=resolution)
    with Viewer(contents, host=host, port=port) as viewer:
        typer.echo(viewer.url)
        viewer.serve()
