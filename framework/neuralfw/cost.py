"""What a run costs: seconds of its parts and the largest memory, summed over its sittings in cost.json."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .rundir import RunFolder


class Cost:
    """Seconds and memory of a run; it goes on from those that its folder tells.

    Attributes:
        seconds: by part, such as "export" or "evaluate views".
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        before: Mapping[str, Any] = folder.read_json(folder.cost) if folder.cost.is_file() else {}
        self.seconds: dict[str, float] = dict(before.get("seconds", {}))
        self._memory, self._device_memory = before.get("memory"), before.get("device_memory")

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Count what is done inside as a part's."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - began

    def save(self) -> None:
        """Write cost.json: seconds by part, and the peak of the process's memory and of the device's, in bytes."""
        self._memory = _larger(self._memory, _peak_memory())
        self._device_memory = _larger(self._device_memory, _peak_device_memory())
        seconds = {part: round(value, 3) for part, value in self.seconds.items()}
        peaks = {"memory": self._memory, "device_memory": self._device_memory}
        self._folder.write_json(self._folder.cost, {"seconds": seconds, **peaks})


def _larger(a: int | None, b: int | None) -> int | None:
    return max((v for v in (a, b) if v is not None), default=None)


def _peak_memory() -> int | None:
    """Return the largest resident memory of this process so far, bytes; None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _peak_device_memory() -> int | None:
    import torch

    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
