"""Image metrics against closed forms and against scikit-image."""

import math
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from neuralfw.errors import UserError
from neuralfw.metrics import images
from neuralfw.metrics.images import Unavailable, lpips, psnr, ssim, ssim_map


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """A smooth picture with an edge, and the same with noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:37, :29] / 29.0
    truth = np.stack([x / 1.1, 0.5 + 0.4 * np.sin(7 * y), (x > 0.4) * 0.8], axis=-1)
    noisy = np.clip(truth + rng.normal(scale=0.08, size=truth.shape), 0.0, 1.0)
    return torch.from_numpy(noisy).float(), torch.from_numpy(truth).float()


def test_psnr_in_closed_form() -> None:
    black = torch.zeros(4, 6, 3)
    assert psnr(black + 0.1, black) == pytest.approx(20.0, abs=1e-4)
    assert psnr(black, black) == math.inf
    assert psnr(black + 7.0, black) == pytest.approx(0.0)  # clamped to white
    half = torch.zeros(4, 6, dtype=torch.bool)
    half[:, :3] = True
    mixed = torch.where(half[..., None], black + 0.01, black + 0.5)
    assert psnr(mixed, black, half) == pytest.approx(40.0, abs=1e-3)
    assert psnr(mixed, black) == pytest.approx(-10 * math.log10((0.01**2 + 0.5**2) / 2), abs=1e-3)
    assert math.isnan(psnr(mixed, black, torch.zeros(4, 6, dtype=torch.bool)))


def test_ssim_is_that_of_scikit_image(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    a, b = pair
    theirs, full = structural_similarity(
        a.double().numpy(), b.double().numpy(), data_range=1.0, channel_axis=2, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, full=True,
    )  # fmt: skip
    assert 0.2 < theirs < 0.95
    assert ssim(a, b) == pytest.approx(theirs, abs=1e-9)
    np.testing.assert_allclose(ssim_map(a, b).numpy(), full[5:-5, 5:-5].mean(axis=2), atol=1e-9)
    assert ssim(b, b) == pytest.approx(1.0)


def test_ssim_of_flat_pictures_in_closed_form() -> None:
    a, b = torch.full((16, 16, 3), 0.3), torch.full((16, 16, 3), 0.6)
    assert ssim(a, b) == pytest.approx((2 * 0.3 * 0.6 + 1e-4) / (0.3**2 + 0.6**2 + 1e-4), abs=1e-6)


def test_pixels_that_do_not_count_change_nothing(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    a, b = pair
    where = torch.ones(37, 29, dtype=torch.bool)
    where[:20, :14] = False
    spoiled = torch.where(where[..., None], a, torch.rand(37, 29, 3, generator=torch.Generator().manual_seed(0)))
    assert ssim(spoiled, b, where) == ssim(a, b, where) != ssim(spoiled, b)
    assert psnr(spoiled, b, where) == psnr(a, b, where)
    assert ssim(a, b, torch.ones_like(where)) == pytest.approx(ssim(a, b))


def test_ssim_refuses_what_is_smaller_than_its_window() -> None:
    with pytest.raises(UserError, match="at least 11 x 11"):
        ssim(torch.zeros(20, 10, 3), torch.zeros(20, 10, 3))


def test_lpips_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    picture = torch.zeros(16, 16, 3)
    images._network.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="pip install lpips"):
        lpips(picture, picture)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(Unavailable, match="vgg16"):
        lpips(picture, picture)


def test_lpips_gives_the_network_pictures_from_minus_one_to_one(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    class Network(torch.nn.Module):
        def __init__(self, net: str, version: str, verbose: bool) -> None:
            super().__init__()
            assert (net, version) == ("vgg", "0.1")

        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            assert a.shape == (1, 3, 12, 16)
            return (a - b).abs().mean()

    package = ModuleType("lpips")
    package.LPIPS = Network  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lpips", package)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: package)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/vgg16-397923af.pth").touch()
    images._network.cache_clear()
    assert lpips(torch.full((12, 16, 3), 2.0), torch.zeros(12, 16, 3)) == pytest.approx(2.0)
    images._network.cache_clear()
