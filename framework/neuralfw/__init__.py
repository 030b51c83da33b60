"""neuralfw: neural surface reconstruction from plugins and recipes."""

from .version import __version__

__all__ = ["__version__"]
