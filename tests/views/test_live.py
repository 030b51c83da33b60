"""A run in a browser while it trains: seen by one, by nobody, and by one that its drawing fails."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from neuralfw import session
from neuralfw.cli import app
from neuralfw.hooks import hook
from neuralfw.training.signals import Interrupted
from neuralfw.viewer import live as live_viewer
from neuralfw.viewer.live import Live

pytest.importorskip("viser", reason="viser is not installed: pip install 'neuralfw[viewer]'")

Write = Callable[..., Path]
PLAIN = ["evaluate.views=false", "checkpoint.every=0"]


class Looked:
    """Pretends that somebody looks from the first step on."""

    def __init__(self, live: Live) -> None:
        self._live = live

    @hook
    def neuralfw_stage_start(self, trainer: Any, stage: str, steps: int) -> None:
        assert self._live._page is not None
        self._live._page.server.get_clients = lambda: {0: SimpleNamespace(camera=SimpleNamespace())}


def test_a_browser_shows_the_object_while_it_trains(recipe: Write, tmp_path: Path) -> None:
    browser = next((b for b in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if b), None)
    if browser is None:
        pytest.skip("no chromium or google-chrome here: apt-get install chromium")
    shot, looked = tmp_path / "live.png", threading.Event()
    live = Live(lambda text: None)

    def look() -> None:
        subprocess.run(
            [browser, "--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
             "--window-size=1000,700", "--virtual-time-budget=30000", f"--user-data-dir={tmp_path / 'profile'}",
             f"--screenshot={shot}", live.url],
            check=True, capture_output=True, timeout=180,
        )  # fmt: skip

    class Looking:
        @hook
        def neuralfw_stage_start(self, trainer: Any, stage: str, steps: int) -> None:
            def then() -> None:
                try:
                    look()  # a headless browser's clock runs ahead: what it made the run draw, the next one sees
                    look()
                finally:
                    looked.set()

            threading.Thread(target=then).start()

        @hook
        def neuralfw_step_end(self, trainer: Any, ctx: Any) -> None:
            if looked.is_set():
                signal.raise_signal(signal.SIGINT)

    steps = [*PLAIN, "log.every=1000000", "stages.fit.steps=100000000"]
    with pytest.raises(Interrupted):
        session.train(recipe(), steps, out=tmp_path / "run", device="cpu", watchers=[live, Looking()])
    pixels = np.asarray(Image.open(shot).convert("RGB")).astype(int)[200:, :650]  # beside the panel, below notices
    assert ((pixels[..., 2] - pixels[..., 0]) > 6).mean() > 0.05  # the grey-blue ball


def test_nobody_looks_and_the_run_ends_as_usual(recipe: Write, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["run", str(recipe()), "--view", f"--port={port}", f"--out={tmp_path / 'run'}", "--device=cpu"]
    done = CliRunner().invoke(app, [*command, *(f"--set={key}" for key in PLAIN)])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == str(tmp_path / "run")
    assert f"viewer: http://localhost:{port}" in done.stderr
    assert (tmp_path / "run/meshes/mesh.ply").is_file()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=2).close()


def test_where_nobody_looks_a_step_costs_next_to_nothing() -> None:
    with Live(lambda text: None) as live:
        began = time.perf_counter()
        for _ in range(1000):
            live.neuralfw_step_end(None, None)  # type: ignore[arg-type]
        assert time.perf_counter() - began < 0.2  # 0.2 ms a step, of steps that take tens


def test_the_panel_tells_step_and_losses_and_the_surface_is_there(recipe: Write, tmp_path: Path) -> None:
    live = Live(lambda text: None)
    seen: dict[str, Any] = {}

    class Watching:
        @hook(trylast=True)
        def neuralfw_step_end(self, trainer: Any, ctx: Any) -> None:
            assert live._page is not None
            seen.setdefault("text", live._text.content)
            seen.setdefault("surface", live._page.server.scene.get_handle_by_name("/surface"))

    session.train(recipe(), PLAIN, out=tmp_path / "run", device="cpu", watchers=[Watching(), live, Looked(live)])
    assert "**painted**" in seen["text"] and "step 1 of the stage" in seen["text"] and "l1 0." in seen["text"]
    assert seen["surface"] is not None
    live.stop()


def test_what_fails_in_drawing_ends_the_viewer_alone(
    recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(live_viewer, "coarse_mesh", broken)
    said: list[str] = []
    live = Live(said.append)
    root = session.train(recipe(), PLAIN, out=tmp_path / "run", device="cpu", watchers=[live, Looked(live)])
    assert (root / "meshes/mesh.ply").is_file() and live._page is None
    assert said == ["the viewer ends, the training goes on: RuntimeError: no such thing"]
