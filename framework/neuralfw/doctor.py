"""What works on this machine, what does not, and the command that mends it."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from contextlib import suppress
from importlib import metadata, util
from pathlib import Path
from typing import Any

from .errors import UserError
from .manifest import Manifest
from .registry import Registry
from .version import __version__

OPTIONAL = {
    "open3d": "screened Poisson reconstruction to compare with: pip install 'neuralfw[open3d]'",
    "imageio_ffmpeg": "films as .mp4: pip install 'neuralfw[video]'",
    "xatlas": "meshes with a texture: pip install 'neuralfw[uv]'",
    "pycolmap": "cameras of plain photographs, `data convert --sfm`: pip install 'neuralfw[sfm]'",
}
_SECONDS = 60


def examine(registry: Registry) -> dict[str, Any]:
    """Return the state of the installation; every component is imported to see whether it can be."""
    return {
        "environment": environment(),
        "plugins": [_plugin(registry, manifest) for manifest in registry.manifests],
        "unavailable": [{"plugin": b.plugin, "reason": b.reason, "remedy": b.remedy} for b in registry.broken],
        "packages": {name: _version(name) or f"missing: pip install {name}" for name in _required()},
        "optional": {name: _optional(name, purpose) for name, purpose in OPTIONAL.items()},
    }


def environment() -> dict[str, str]:
    """Return versions, processor, threads, the kernel chosen for networks, and what CUDA says."""
    import torch

    from .nn import kernels

    return {
        "neuralfw": f"{__version__} in {Path(__file__).parent}",
        "python": f"{platform.python_version()} in {sys.prefix}",
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "threads": f"{torch.get_num_threads()} for torch",
        "network kernel": kernels.chosen(),
        "cuda": _cuda(),
    }


def _cuda() -> str:
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"
    built = f"no: torch {torch.__version__} is built"
    if torch.version.cuda is None:
        return f"{built} without it; builds with it: https://pytorch.org/get-started/locally"
    return f"{built} for CUDA {torch.version.cuda}, but no device answers; does nvidia-smi?"


def _plugin(registry: Registry, manifest: Manifest) -> dict[str, Any]:
    for component in manifest.components:
        with suppress(UserError):  # the registry keeps the reason
            registry.config(component)
            registry.load(component)
    return {
        "plugin": manifest.plugin,
        "version": manifest.version,
        "api": manifest.api,
        "owner": manifest.owner,
        "components": [c.full_name for c in manifest.components],
        "path": str(manifest.path.parent),
    }


def _required() -> list[str]:
    """Return the packages that neuralfw's own metadata asks for."""
    lines = [line for line in metadata.requires("neuralfw") or () if "extra ==" not in line]
    return [match[0] for line in lines if (match := re.match(r"[\w.-]+", line))]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _optional(package: str, purpose: str) -> str:
    """Say whether an optional package can be imported; it is tried in a process of its own, which it may crash."""
    if util.find_spec(package) is None:
        return f"absent; {purpose}"
    try:
        tried = subprocess.run(
            [sys.executable, "-c", f"import {package}"], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"installed, but its import takes more than {_SECONDS} seconds"
    if tried.returncode == 0:
        return _version(package) or "works"
    reason = (tried.stderr.strip().splitlines() or [f"status {tried.returncode}"])[-1]
    remedy = "; to mend it: apt-get install libusb-1.0-0" if "libusb" in tried.stderr else ""
    return f"installed, but cannot be imported: {reason}{remedy}"
