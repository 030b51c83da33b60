"""What every component must hold, whatever its kind."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...config import options
from ...manifest_writer import drift
from ...recipe.model import dump
from ...recipe.toml_writer import dumps
from ..kit import check
from ..subject import Subject


@check()
def manifest_is_true(subject: Subject) -> None:
    """The manifest says what the code says: role, needs, observes, provides, capabilities."""
    name, registry = subject.component.full_name, subject.registry
    manifest = next(m for m in registry.manifests if subject.component in m.components)
    differing = [line for line in drift(registry, manifest) if subject.component.name in line]
    assert not differing, f"{name}: {'; '.join(differing)}"


@check()
def options_are_described(subject: Subject) -> None:
    """Component and options have a text."""
    assert subject.component.summary.strip(), "the manifest has no summary"
    for key, info in options(type(subject.defaults)).items():
        assert (info.description or "").strip(), f"option {key!r} has no description"


@check()
def options_load_no_torch(subject: Subject) -> None:
    """The module of the options imports no torch, so that a recipe is checked in an instant."""
    module = subject.component.config.partition(":")[0]
    folder = next(m.path.parent.parent for m in subject.registry.manifests if subject.component in m.components)
    assert not _loads_torch(module, str(folder)), f"importing {module} imports torch"


@cache
def _loads_torch(module: str, folder: str) -> bool:
    code = f"import sys; sys.path.insert(0, {folder!r}); import {module}; sys.exit(3 if 'torch' in sys.modules else 0)"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 3


@check()
def options_survive_a_recipe(subject: Subject) -> None:
    """Options written into a recipe and read again are the same."""
    spec = subject.spec
    written = dump(spec)
    again = Subject(subject.registry, subject.component, {k: v for k, v in written.items() if k != "type"})
    assert again.spec.config == spec.config, f"{dumps(written)} is read as {again.spec.config}"


@check()
def seed_decides(subject: Subject) -> None:
    """Built twice with one seed it is the same, tensor by tensor."""
    first, second = (_tensors(subject.build(seed=3)) for _ in range(2))
    assert first.keys() == second.keys(), "it does not hold the same tensors"
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), f"{name} differs between two builds with one seed"


@check()
def global_random_numbers_stay(subject: Subject) -> None:
    """Building draws from its own stream, never from torch's or NumPy's global one."""
    subject.build()
    before, array = torch.get_rng_state(), _numpy_numbers()
    subject.build()
    assert torch.equal(before, torch.get_rng_state()), "building drew from torch's global generator"
    assert array == _numpy_numbers(), "building drew from NumPy's global generator"


@check()
def state_is_whole(subject: Subject) -> None:
    """What it keeps, loaded into another one, makes it the same."""
    first, second = subject.build(seed=0), subject.build(seed=1)
    if isinstance(first, nn.Module):
        second.load_state_dict(first.state_dict())
    elif hasattr(first, "state"):
        second.load_state(first.state())
    kept, loaded = _tensors(first), _tensors(second)
    for name, tensor in kept.items():
        assert torch.equal(tensor, loaded[name]), f"{name} is not in the state"


def _tensors(component: object) -> dict[str, Tensor]:
    """Return the tensors that a component holds, parameters, buffers and plain attributes."""
    found = {k: v for k, v in vars(component).items() if isinstance(v, Tensor)}
    if isinstance(component, nn.Module):
        found |= {**dict(component.named_parameters()), **dict(component.named_buffers())}
    return found


def _numpy_numbers() -> list[int]:
    """Return the state of NumPy's global generator."""
    state: Any = np.random.get_state()
    numbers: list[int] = state[1].tolist()
    return numbers
