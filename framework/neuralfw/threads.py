"""The number of threads: torch's, for all that computes."""

from collections.abc import Iterator
from contextlib import contextmanager

import numba
import torch


@contextmanager
def numba_threads() -> Iterator[int]:
    """Let numba use as many threads as torch does, where it can, and give their number; then put back what was set."""
    before = numba.get_num_threads()
    most: int = numba.config.NUMBA_NUM_THREADS
    numba.set_num_threads(min(torch.get_num_threads(), most))
    try:
        yield numba.get_num_threads()
    finally:
        numba.set_num_threads(before)
