"""What a run writes down while it trains: metrics.jsonl, TensorBoard, log.txt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from jaxtyping import Float, Integer

from ..errors import saying
from ..geometry.files import write_file
from ..strict_json import dumps


class RunLog:
    """Writes what a run in a folder has to tell, between `open` and `close`."""

    def __init__(self, folder: Path, *, tensorboard: bool) -> None:
        self._metrics, self._text, self._events = folder / "metrics.jsonl", folder / "log.txt", folder / "tensorboard"
        self._with_tensorboard = tensorboard
        self._file: TextIO | None = None
        self._tensorboard: Any = None

    def open(self, after: int) -> None:
        """Open the files; what they hold of steps after `after` is dropped, since those are done again."""
        with saying("write", self._metrics):
            if self._metrics.exists():
                _truncate(self._metrics, after)
            self._file = self._metrics.open("a", encoding="utf-8")
            if self._with_tensorboard:
                from torch.utils.tensorboard import SummaryWriter

                self._tensorboard = SummaryWriter(str(self._events), purge_step=after + 1)

    def scalars(self, step: int, values: Mapping[str, Any]) -> None:
        """Write one line: numbers to TensorBoard as well."""
        assert self._file is not None
        with saying("write", self._metrics):
            self._file.write(dumps({"step": step, **values}) + "\n")
            self._file.flush()
            if self._tensorboard is not None:
                for name, value in values.items():
                    if isinstance(value, int | float):
                        self._tensorboard.add_scalar(name, value, step)

    def picture(self, step: int, name: str, picture: Float[np.ndarray, "h w 3"]) -> None:
        """Show a picture in TensorBoard, colours in [0, 1]."""
        if self._tensorboard is not None:
            with saying("write", self._events):
                self._tensorboard.add_image(name, picture, step, dataformats="HWC")

    def mesh(self, step: int, name: str, vertices: Float[np.ndarray, "v 3"], faces: Integer[np.ndarray, "f 3"]) -> None:
        """Show a mesh in TensorBoard."""
        if self._tensorboard is not None:
            with saying("write", self._events):
                points, corners = vertices.astype(np.float32), faces.astype(np.int32)
                self._tensorboard.add_mesh(name, points[None], faces=corners[None], global_step=step)

    def note(self, text: str) -> None:
        """Write a line of log.txt."""
        with saying("write", self._text), self._text.open("a", encoding="utf-8") as file:
            file.write(text.rstrip() + "\n")

    def close(self) -> None:
        """Close the files."""
        if self._file is not None:
            self._file.close()
        if self._tensorboard is not None:
            self._tensorboard.close()


def _truncate(path: Path, after: int) -> None:
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if int(json.loads(line)["step"]) <= after:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            continue
    write_file(path, "".join(kept).encode())
