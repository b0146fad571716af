"""Data sets behind one small type: the catalogue, and any user's own files."""

from __future__ import annotations

from collections.abc import Callable

from raiaudit.errors import UnknownNameError
from raiaudit.models.data.dataset import Dataset
from raiaudit.models.data.digits import digits

__all__ = ["DATASETS", "Loader", "load_dataset"]

Loader = Callable[[], Dataset]

DATASETS: dict[str, Loader] = {
    "digits": digits,
}


def load_dataset(name: str) -> Dataset:
    """The data set of that name in the catalogue. Raises `UnknownNameError`."""
    try:
        loader = DATASETS[name]
    except KeyError:
        raise UnknownNameError("data set", name, DATASETS) from None
    return loader()
