"""Randomness by key: every stream is a generator derived from (seed, purpose, epoch).

Nothing has to be saved to resume, and no stream depends on how much another one drew.
"""

from __future__ import annotations

import hashlib

import torch

__all__ = ["derived", "generator"]


def derived(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed that is a function of `seed` and `purpose` alone."""
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(device: torch.device, seed: int, *purpose: str | int) -> torch.Generator:
    """A generator on `device`, seeded for `purpose`."""
    return torch.Generator(device).manual_seed(derived(seed, *purpose))
