"""Random generators keyed by names, so that adding a draw somewhere changes no draw elsewhere."""

from __future__ import annotations

import hashlib
import json

import numpy as np

__all__ = ["keyed_rng"]


def keyed_rng(seed: int, *key: str | int | float) -> np.random.Generator:
    """A generator decided by the audit's seed and what it is used for, e.g. `("calibration", "ece")`."""
    digest = hashlib.sha256(json.dumps([seed, *key]).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))
