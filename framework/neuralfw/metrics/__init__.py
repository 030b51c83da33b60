"""How near a reconstructed surface comes to a reference: distances, their summaries, and named protocols."""

from .definitions import Metric
from .nearest import nearest, nearest_both_ways
from .protocols import PROTOCOLS, Protocol, evaluate_surface
from .surface import Directed, SurfaceDistances, one_sided_distances, surface_distances
from .volume import contains, volume_iou

__all__ = [
    "PROTOCOLS",
    "Directed",
    "Metric",
    "Protocol",
    "SurfaceDistances",
    "contains",
    "evaluate_surface",
    "nearest",
    "nearest_both_ways",
    "one_sided_distances",
    "surface_distances",
    "volume_iou",
]
