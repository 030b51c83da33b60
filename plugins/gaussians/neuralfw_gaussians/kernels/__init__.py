"""Compiled CPU kernels: no compiler is needed, numba brings its own."""
