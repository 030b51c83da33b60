"""The losses of GS-Pull (Zhang et al. 2024, arXiv 2410.14189). Each is a mean over the samples."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from neuralfw.components import Build, Loss, Quantities
from neuralfw.losses.sdf import mean

from .config import AlignedConfig, AttractConfig, ChamferPullConfig, DiskPullConfig, NearDiskConfig, SidedConfig
from .neighbors import nearest


class DiskPull(Loss):
    """½ dᵀΣ⁻¹d: a pulled query lies on its Gaussian's disk (eq. 5, as its negative logarithm).

    Beyond `limit` standard deviations it grows linearly, as Huber's loss does.
    """

    def __init__(self, config: DiskPullConfig, build: Build) -> None:
        super().__init__(config, build)
        self._min_scale, self._limit = config.min_scale, config.limit

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        offset = outputs["pulled"] - outputs["gs_pull/disk_center"]
        along = (outputs["gs_pull/disk_axes"] * offset[:, :, None]).sum(dim=1)
        squared = (along / outputs["gs_pull/disk_scales"].clamp(min=self._min_scale)).square().sum(dim=1)
        if self._limit is None:
            return mean(0.5 * squared)
        length = squared.clamp(min=self._limit**2).sqrt()
        return mean((0.5 * squared).clamp(max=0.5 * self._limit**2) + self._limit * (length - self._limit))


class NearDisk(Loss):
    """1 - exp(-½ d²/σ²) where the density is above a threshold: the isotropic disk term of the released code.

    d leads from a pulled query to the nearest of the batch's centres.
    """

    def __init__(self, config: NearDiskConfig, build: Build) -> None:
        super().__init__(config, build)
        self._std, self._threshold = config.std, config.threshold

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        pulled, centers = outputs["pulled"], batch["nearest"]
        squared = (pulled - centers[nearest(pulled, centers)]).square().sum(dim=1)
        density = (-0.5 * squared / self._std**2).exp()
        return mean(1.0 - density[density > self._threshold])


class ChamferPull(Loss):
    """½ (mean distance of pulled queries to the nearest centres + that of these centres to the pulled queries).

    The form of the released code, from CAP-UDF (arXiv 2210.02757).
    """

    def __init__(self, config: ChamferPullConfig, build: Build) -> None:
        super().__init__(config, build)

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        pulled, centers = outputs["pulled"], batch["nearest"]
        there = mean(_length(pulled - centers[nearest(pulled, centers)]))
        return 0.5 * (there + mean(_length(centers - pulled[nearest(centers, pulled)])))


class Sided(Loss):
    """max(0, margin - s f): points lie on the side s of the surface; those of which no side is known do not count."""

    def __init__(self, config: SidedConfig, build: Build) -> None:
        super().__init__(config, build)
        self._margin = config.margin

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        side = batch["gs_pull/side"]
        return mean((self._margin - side * outputs["sdf"])[side != 0].relu())


class Attract(Loss):
    """|µ - pull(p)|: a Gaussian comes to where its centre p, as it was sampled, is pulled; the SDF stays as it is."""

    def __init__(self, config: AttractConfig, build: Build) -> None:
        super().__init__(config, build)

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        return mean(_length(outputs["gs_pull/disk_center"] - outputs["pulled"].detach()))


class Aligned(Loss):
    """1 - |∇f/|∇f| · n|: the surface is parallel to the Gaussian's disk (eq. 4 at pulled centres, eq. 6 at queries)."""

    def __init__(self, config: AlignedConfig, build: Build) -> None:
        super().__init__(config, build)

    def __call__(self, outputs: Quantities, batch: Quantities) -> Float[Tensor, ""]:
        cosine = (outputs["gs_pull/surface_normal"] * outputs["gs_pull/disk_normal"]).sum(dim=-1)
        return mean(1.0 - cosine.abs())


def _length(vectors: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
    return (vectors.square().sum(dim=-1) + 1e-20).sqrt()
