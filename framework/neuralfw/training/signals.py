"""Ctrl-C and SIGTERM end a run between two steps, after its state is saved; a second Ctrl-C ends it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any


class Interrupted(Exception):
    """The run was asked to stop, and can go on."""

    def __init__(self, number: int, step: int, run: Path) -> None:
        self.number, self.run = number, run
        super().__init__(f"{signal.Signals(number).name} at step {step}: saved; go on with: neuralfw resume {run}")

    @property
    def exit_status(self) -> int:
        """What a shell expects of a process that a signal ended: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.number


class Signals:
    """While entered, notes SIGINT and SIGTERM instead of dying of them.

    Attributes:
        received: number of the signal, or 0.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.received = 0
        self._say = say
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = self.received or number
        with suppress(RuntimeError):  # the signal may have come in the middle of writing to the same stream
            self._say(f"{signal.Signals(number).name}: saving after this step; Ctrl-C again stops at once")

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
