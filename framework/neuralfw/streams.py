"""Named random streams: every draw is a pure function of (seed, place, rank, step), so nothing needs saving."""

from __future__ import annotations

import hashlib

import torch


def key(seed: int, place: str, rank: int = 0, step: int = 0) -> int:
    """Return the 63-bit seed of one draw; adding a component elsewhere does not change it."""
    digest = hashlib.blake2b(f"{seed}\0{place}\0{rank}\0{step}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def stream(seed: int, place: str, rank: int = 0, step: int = 0) -> torch.Generator:
    """Return the generator of one draw, on the CPU."""
    return torch.Generator().manual_seed(key(seed, place, rank, step))


def seed_dropout(device: torch.device, seed: int) -> None:
    """Seed torch's global generator of a device: dropout takes no other.

    `torch.manual_seed` would do as well, at a millisecond and some memory a call where CUDA is not in use.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
