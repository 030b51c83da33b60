"""From a scalar field to a triangle mesh: marching cubes, dense or only where the surface is."""

from .extract import extract
from .surface import EmptySurfaceError, ExtractionStats, Surface, largest_components

__all__ = ["EmptySurfaceError", "ExtractionStats", "Surface", "extract", "largest_components"]
