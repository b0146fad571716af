"""Fixtures every room's tests share."""

import os
from pathlib import Path

import pytest

_BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def data_home() -> Path:
    """The folder with the official data sets; tests that need it skip where there is none."""
    home = Path(os.environ.get("RAIAUDIT_DATA") or _BESIDE_THE_CHECKOUT)
    if not home.is_dir():
        pytest.skip("the official data sets are not on this machine (set RAIAUDIT_DATA to their folder)")
    return home
