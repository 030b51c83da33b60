"""One contract for all backends. The CUDA packages' adapters also run on stand-ins, where no GPU is at hand."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import stand_ins
import torch
from small_scenes import POSE, differentiate, random, straight
from torch import Tensor

from neuralfw.errors import UserError
from neuralfw_gaussians import backends
from neuralfw_gaussians.backends import cpu, gsplat, inria, plain
from neuralfw_gaussians.backends.moved import moved
from neuralfw_gaussians.contract import Splats, View

F32, F64 = torch.float32, torch.float64
STAND_INS = {
    "gsplat": stand_ins.gsplat,
    "inria 2023": lambda: stand_ins.inria(2023),
    "inria 2024": lambda: stand_ins.inria(2024),
}
SETTINGS = ({}, {"depth": True}, {"features": True, "depth": True}, {"features": True, "antialiased": True})


def centred(width: int = 30, height: int = 22) -> View:
    """Return a view with the principal point in the middle, which the Jacobian of 2023 asks for."""
    return View(POSE, torch.tensor([45.0, 40.0, width / 2, height / 2], dtype=F64), width, height)


def check(backend: Any, settings: dict[str, bool], tolerance: float, absolute: bool = False) -> None:
    """Assert that a backend gives the image and gradients of the twin in double precision."""
    splats, given = random(60, size=0.2), dict(settings)
    values = torch.rand(60, 3, generator=torch.Generator().manual_seed(3), dtype=F64)
    features = values if given.pop("features", False) else None
    found = differentiate(backend, splats, centred(), F32, features, absolute=absolute, **given)
    exact = differentiate(plain, splats, centred(), F64, features, absolute=absolute, **given)
    for name, channels in vars(exact.image).items():
        if channels is not None and name != "radii":
            size = max(1.0, float(channels.detach().abs().max()))
            torch.testing.assert_close(getattr(found.image, name).double(), channels, atol=size * 2 / 255, rtol=0.0)
    assert found.image.radii.shape == (60,)
    assert exact.gradients.keys() == found.gradients.keys()
    if not absolute:
        found.gradients["screen"], exact.gradients["screen"] = (d.gradients["screen"][:, 0] for d in (found, exact))
    for name, gradient in exact.gradients.items():
        ours, theirs = (tangent(name, g.double(), splats) for g in (found.gradients[name], gradient))
        assert float((ours - theirs).norm() / theirs.norm()) < tolerance, name


def tangent(name: str, gradient: Tensor, splats: Splats) -> Tensor:
    """Return the part of a gradient that moves unit quaternions, or a pose, within what they are."""
    if name == "rotations":
        return gradient - (gradient * splats.rotations).sum(dim=1, keepdim=True) * splats.rotations
    if name == "pose":
        turn = gradient[:3, :3] @ POSE[:3, :3].double().T
        return torch.cat([turn - turn.T, gradient[:3, 3:]], dim=1)
    return gradient


@pytest.mark.parametrize("name", ["cpu", "gsplat", "diff_gaussian_rasterization"])
@pytest.mark.parametrize("settings", SETTINGS)
def test_every_backend_is_the_twin(name: str, settings: dict[str, bool]) -> None:
    module = backends.module(name)
    if reason := module.unavailable():
        pytest.skip(reason)
    render = module.render if name in backends.CPU else moved(module.render, torch.device("cuda"))
    absolute = name != "diff_gaussian_rasterization"
    try:
        check(SimpleNamespace(render=render), settings, tolerance=1e-2, absolute=absolute)
    except UserError as error:
        assert settings.get("antialiased") and "no antialiasing" in str(error), error
        pytest.skip(str(error))


@pytest.mark.parametrize("name", STAND_INS)
@pytest.mark.parametrize("settings", SETTINGS)
def test_adapters_speak_as_the_packages_do(
    name: str, settings: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    package: ModuleType = STAND_INS[name]()
    monkeypatch.setitem(sys.modules, package.__name__, package)
    adapter = gsplat if name == "gsplat" else inria
    if name == "inria 2023" and settings.get("antialiased"):
        with pytest.raises(UserError, match="no antialiasing"):
            check(adapter, settings, tolerance=0.0)
    else:
        check(adapter, settings, tolerance=1e-4, absolute=name == "gsplat")


def test_settings_that_nobody_knows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stand_ins, "COMMON", stand_ins.COMMON + " surprise")
    monkeypatch.setitem(sys.modules, "diff_gaussian_rasterization", stand_ins.inria(2024))
    with pytest.raises(UserError, match="surprise"):
        check(inria, {}, tolerance=0.0)


def test_near_planes_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package cuts at depth 0.2, far beyond what is near in a small scene."""
    monkeypatch.setitem(sys.modules, "diff_gaussian_rasterization", stand_ins.inria(2024))
    near = random(1, size=0.0)
    near.means[:] = torch.tensor([0.0, 0.0, 0.05])
    seen = differentiate(inria, near, straight(), F32).image
    torch.testing.assert_close(seen.alpha, differentiate(cpu, near, straight(), F32).image.alpha, atol=1e-5, rtol=0.0)
    assert seen.alpha.any()
    near.means[:, 2] = 0.0099
    assert not differentiate(inria, near, straight(), F32).image.alpha.any()


def test_copies_for_another_device_change_nothing() -> None:
    copying = SimpleNamespace(render=moved(cpu.render, torch.device("cpu")))
    features = torch.rand(60, 3, generator=torch.Generator().manual_seed(3), dtype=F64)
    direct = differentiate(cpu, random(60), centred(), F32, features, depth=True, absolute=True)
    through = differentiate(copying, random(60), centred(), F32, features, depth=True, absolute=True)
    assert torch.equal(direct.image.rgb, through.image.rgb)
    for name, gradient in direct.gradients.items():
        assert torch.equal(gradient, through.gradients[name]), name


def test_auto_takes_what_the_device_has(monkeypatch: pytest.MonkeyPatch) -> None:
    assert backends.chosen("auto", "cpu") == "cpu"
    for absent, expected in (((), "gsplat"), (("gsplat",), "diff_gaussian_rasterization"), (backends.CUDA, "cpu")):
        for name in backends.CUDA:
            reason = "absent" if name in absent else None
            monkeypatch.setattr(backends.module(name), "unavailable", lambda reason=reason: reason)
        assert backends.chosen("auto", "cuda:0") == expected


@pytest.mark.parametrize(("extension", "works"), [(None, False), (object(), True)])
def test_gsplat_without_its_kernels_is_not_available(
    extension: object | None, works: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gsplat.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setitem(sys.modules, "gsplat", ModuleType("gsplat"))
    monkeypatch.setitem(sys.modules, "gsplat.cuda", ModuleType("gsplat.cuda"))
    monkeypatch.setitem(sys.modules, "gsplat.cuda._backend", SimpleNamespace(_C=extension))
    assert (gsplat.unavailable() is None) == works
