"""The command line: `main` is the console script `neuralfw`, `app` the application that the verbs' modules add to."""

from . import (
    bench,
    checking,
    comparing,
    data,
    describing,
    examining,
    listing,
    plugin,
    rendering,
    reporting,
    results,
    training,
    viewing,
)
from .app import app, main

__all__ = [
    "app",
    "bench",
    "checking",
    "comparing",
    "data",
    "describing",
    "examining",
    "listing",
    "main",
    "plugin",
    "rendering",
    "reporting",
    "results",
    "training",
    "viewing",
]
