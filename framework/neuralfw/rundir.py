"""The run directory: what lies where, how a new one is made, and what it says of the machine."""

from __future__ import annotations

import json
import os
import platform
import secrets
import subprocess
import sys
from contextlib import suppress
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from .errors import UserError, saying
from .geometry.files import write_file
from .registry import Registry
from .strict_json import dumps
from .suggest import nearest

FORMAT = 1


class RunFolder:
    """Paths of one run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.recipe = root / "recipe.toml"
        self.source = root / "recipe.source.toml"
        self.environment = root / "environment.json"
        self.frame = root / "frame.json"
        self.scene = root / "scene.json"
        self.log = root / "log.txt"
        self.metrics = root / "metrics.jsonl"
        self.checkpoints = root / "checkpoints"
        self.meshes = root / "meshes"
        self.eval = root / "eval"
        self.images = root / "images"
        self.cost = root / "cost.json"
        self.report = root / "report.html"

    @classmethod
    def new(cls, name: str, out: Path | None) -> RunFolder:
        """Make the empty folder of a new run: `out` itself, which must be absent or empty, or one under runs/.

        Raises:
            UserError: the folder holds something already, or cannot be made.
        """
        stamp = f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        root = out if out is not None else Path("runs") / name / stamp
        with saying("make the run directory", root):
            if root.exists() and (not root.is_dir() or any(root.iterdir())):
                raise UserError(f"{root} is not empty: choose another --out, or go on with: neuralfw resume {root}")
            root.mkdir(parents=True, exist_ok=True)
        return cls(root)

    @classmethod
    def existing(cls, root: Path) -> RunFolder:
        """Return the folder of a run that exists.

        Raises:
            UserError: there is none at that path.
        """
        if not (root / "recipe.toml").is_file():
            beside = [p.name for p in root.parent.iterdir()] if root.parent.is_dir() else []
            close = nearest(root.name, beside)
            hint = f"; closest: {root.parent / close[0]}" if close and not root.exists() else ""
            raise UserError(f"{root} is not a run directory: it holds no recipe.toml{hint}")
        return cls(root)

    def discard(self) -> None:
        """Remove the folder of a run that never began: it holds at most a frame."""
        with suppress(OSError):
            self.frame.unlink(missing_ok=True)
            self.root.rmdir()

    def write(self, path: Path, text: str) -> None:
        """Write a file of the run."""
        write_file(path, text.encode())

    def write_json(self, path: Path, value: dict[str, Any]) -> None:
        """Write a file of plain data, with the number of its format."""
        self.write(path, dumps({"format": FORMAT, **value}, indent=2) + "\n")

    def read_json(self, path: Path) -> dict[str, Any]:
        """Read a small file of the run.

        Raises:
            UserError: it is missing, damaged or of another format.
        """
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read: {error}") from error
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            found = value.get("format") if isinstance(value, dict) else None
            raise UserError(f"{path} has format {found}, this neuralfw reads format {FORMAT}")
        return value


def environment(registry: Registry, device: str) -> dict[str, Any]:
    """Return what may change a result: versions, plugins, backends, device, threads, commit, machine."""
    import torch

    from .nn import kernels

    packages = ("neuralfw", "torch", "numpy", "scipy", "scikit-image", "trimesh", "lightning-fabric", "safetensors")
    return {
        "versions": {"python": platform.python_version(), **{p: _version(p) for p in packages}},
        "plugins": {m.plugin: m.version for m in registry.manifests},
        "unavailable": {b.plugin: b.reason for b in registry.broken},
        "backends": {"mlp": kernels.chosen()},
        "device": device,
        "device_name": torch.cuda.get_device_name() if device.startswith("cuda") else _processor(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "machine": f"{platform.system()} {platform.machine()}",
        "commit": _commit(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def _commit() -> str | None:
    """Return the commit of the checkout that neuralfw runs from, if it is one."""
    here = Path(__file__).resolve().parent
    try:
        found = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None
