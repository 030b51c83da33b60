"""Networks: the multilayer perceptron and its hand-derived sweeps."""

from .mlp import Mlp

__all__ = ["Mlp"]
