"""The command line: `main` is the console script `neuralfw`."""

from . import checking, describing, examining, listing, plugin, results, training
from .app import app, main

__all__ = ["app", "main"]
