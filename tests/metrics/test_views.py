"""Evaluation of held-out views on a cube and a plane whose figures are known in closed form."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from neuralfw.geometry import Camera, Mesh
from neuralfw.metrics.views import JudgedView, evaluate_views

EYE = Camera(np.eye(4), 20.0, 20.0, 20.0, 16.0, 40, 32)


def wall(half: float, depth: float = 2.0) -> Mesh:
    corners = np.array([[-half, -half, depth], [half, -half, depth], [half, half, depth], [-half, half, depth]])
    return Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]]))


def view(mask_half: float = 1.0, error: float = 0.1, depth: float | None = None) -> JudgedView:
    """A photograph in which a wall of this half edge, at depth 2, is white on black, and is predicted too dark."""
    photograph = torch.zeros(32, 40, 3)
    reach = round(10 * mask_half)
    photograph[16 - reach : 16 + reach, 20 - reach : 20 + reach] = 1.0
    mask = photograph[..., 0].clone()
    shown = None if depth is None else torch.full((32, 40), depth)
    return JudgedView(EYE, photograph, (photograph - error).clamp(0, 1), mask=mask, depth=shown)


def values(result: dict) -> dict[str, float]:
    json.dumps(result)
    return {name: metric["value"] for name, metric in result["metrics"].items()}


def test_figures_of_renderings_are_means_over_views() -> None:
    found = values(evaluate_views([view(error=0.1), view(error=0.01)], None, diagonal=1.0))
    share = 400 / (32 * 40)
    assert found["psnr_mask"] == pytest.approx((20.0 + 40.0) / 2, abs=1e-3)
    assert found["psnr"] == pytest.approx(30.0 - 10 * np.log10(share), abs=1e-3)
    assert 0.9 < found["ssim"] < 1.0


@pytest.mark.parametrize(("half", "iou"), [(1.0, 1.0), (0.5, 0.25), (1.2, 400 / 576)])
def test_silhouette_iou_in_closed_form(half: float, iou: float) -> None:
    assert values(evaluate_views([view()], wall(half), diagonal=1.0))["silhouette_iou"] == pytest.approx(iou)


def test_silhouettes_are_summed_over_views_before_they_are_divided() -> None:
    """One view with 400 of 400 pixels right, one in which the mesh covers 400 and the mask 100."""
    result = evaluate_views([view(), view(mask_half=0.5)], wall(1.0), diagonal=1.0)
    assert values(result)["silhouette_iou"] == pytest.approx(500 / 800)


def test_distance_along_the_ray_counts_misses_as_infinite() -> None:
    near = evaluate_views([view(depth=2.1)], wall(1.0), diagonal=4.0)
    cosine = (EYE.rays()[1] @ EYE.axis)[6:26, 10:30]
    errors = np.sort((0.1 / cosine / 4.0).ravel())
    assert values(near)["ray_distance_median"] == pytest.approx(errors[200], rel=1e-5)
    assert values(near)["ray_distance_p80"] == pytest.approx(errors[320], rel=1e-5)
    half_missed = values(evaluate_views([view(depth=2.1)], wall(0.8), diagonal=4.0))  # 256 of 400 pixels are hit
    assert np.isfinite(half_missed["ray_distance_median"]) and np.isinf(half_missed["ray_distance_p80"])
    unknown = replace(view(), depth=torch.zeros(32, 40))
    assert "ray_distance_median" not in values(evaluate_views([unknown], wall(1.0), diagonal=4.0))


def test_pixels_that_are_not_valid_count_nowhere() -> None:
    valid = torch.zeros(32, 40, dtype=torch.bool)
    valid[:, :20] = True
    spoiled = view(depth=2.0)
    spoiled.render[:, 20:] = 0.3
    spoiled.mask[:, 20:] = 1.0
    masked, whole = (
        values(evaluate_views([replace(v, valid=valid)], wall(1.0), diagonal=4.0)) for v in (spoiled, view(depth=2.0))
    )
    assert masked == whole
    assert whole["silhouette_iou"] == 1.0


def test_what_there_is_not_is_omitted_with_the_reason() -> None:
    bare = JudgedView(EYE, torch.zeros(32, 40, 3), None)
    result = evaluate_views([bare], wall(1.0), diagonal=1.0)
    assert result["metrics"] == {}
    assert "no pass of the recipe renders" in result["omitted"]["psnr"]
    assert "no masks" in result["omitted"]["silhouette_iou"]
    assert "no depth maps" in result["omitted"]["ray_distance_p80"]
    assert "there is no mesh" in evaluate_views([view()], None, diagonal=1.0)["omitted"]["silhouette_iou"]
    unmasked = evaluate_views([replace(view(), mask=None)], None, diagonal=1.0)
    assert "no masks" in unmasked["omitted"]["psnr_mask"]
