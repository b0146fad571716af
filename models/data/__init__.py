"""Data sets behind one small type: the catalogue, and any user's own files."""

from __future__ import annotations

from collections.abc import Callable

from raiaudit.errors import UnknownNameError
from raiaudit.models.data.adult import adult
from raiaudit.models.data.cifar import cifar10, cifar10_5k
from raiaudit.models.data.compas import compas
from raiaudit.models.data.dataset import Dataset
from raiaudit.models.data.digits import digits
from raiaudit.models.data.idx import fashion_mnist, mnist
from raiaudit.models.data.sentiment import rt_polarity, sst2
from raiaudit.models.data.user import UserData
from raiaudit.models.data.user_dataset import load_user_dataset

__all__ = ["DATASETS", "Loader", "UserData", "load_dataset", "load_user_dataset"]

Loader = Callable[[], Dataset]

DATASETS: dict[str, Loader] = {
    "digits": digits,
    "mnist": mnist,
    "fashion_mnist": fashion_mnist,
    "cifar10": cifar10,
    "cifar10_5k": cifar10_5k,
    "adult": adult,
    "compas": compas,
    "sst2": sst2,
    "rt_polarity": rt_polarity,
}


def load_dataset(name: str) -> Dataset:
    """The data set of that name in the catalogue. Raises `UnknownNameError`."""
    try:
        loader = DATASETS[name]
    except KeyError:
        raise UnknownNameError("data set", name, DATASETS) from None
    return loader()
