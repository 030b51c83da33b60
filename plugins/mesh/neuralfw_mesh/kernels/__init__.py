"""The loops of the CPU backend, compiled by numba."""
