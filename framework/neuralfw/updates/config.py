"""Options of core's updates."""

from __future__ import annotations

from ..config import ComponentConfig


class GradientConfig(ComponentConfig):
    """Options of `gradient`: none."""
