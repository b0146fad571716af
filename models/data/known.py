"""What the data sets of the catalogue look like, for those who may neither read nor fetch them yet.

A test holds every entry against its loader, where the files are on the machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from raiaudit.attacks.spaces import Column, ImageBox, InputSpace, TableSchema, TokenSpace

if TYPE_CHECKING:
    from raiaudit.models.data.dataset import Modality

__all__ = ["KNOWN", "KnownData"]


@dataclass(frozen=True, slots=True)
class KnownData:
    """`sizes` of train, validation and test; `groups`: column → number of its levels."""

    modality: Modality
    classes: tuple[str, ...]
    space: InputSpace
    sizes: tuple[int, int, int]
    groups: dict[str, int]


_DIGITS = tuple("0123456789")
_FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_OPINION = ("negative", "positive")
_BRIGHTNESS = {"brightness": 2}
_TEXTS = TokenSpace(vocabulary=8000, max_length=64)


def _table(numbers: str, categories: dict[str, int], fixed: str) -> TableSchema:
    """Columns by name; the names of levels are not known here, only how many there are."""
    kept = fixed.split()
    return TableSchema(
        tuple(Column(name, "integer", mutable=name not in kept) for name in numbers.split())
        + tuple(
            Column(
                name, "category", categories=tuple(str(i) for i in range(levels)), mutable=name not in kept
            )
            for name, levels in categories.items()
        )
    )


_ADULT = _table(
    "age education-num capital-gain capital-loss hours-per-week",
    {
        "workclass": 9,
        "education": 16,
        "marital-status": 7,
        "occupation": 15,
        "relationship": 6,
        "race": 5,
        "sex": 2,
        "native-country": 42,
    },
    "age race sex native-country",
)
_COMPAS = _table(
    "age juv_fel_count juv_misd_count juv_other_count priors_count",
    {"sex": 2, "race": 6, "c_charge_degree": 2},
    "age sex race",
)

KNOWN: dict[str, KnownData] = {
    "digits": KnownData("image", _DIGITS, ImageBox((1, 8, 8)), (1097, 200, 500), {"stroke": 2}),
    "mnist": KnownData("image", _DIGITS, ImageBox((1, 28, 28)), (55000, 5000, 10000), _BRIGHTNESS),
    "fashion_mnist": KnownData("image", _FASHION, ImageBox((1, 28, 28)), (55000, 5000, 10000), _BRIGHTNESS),
    "cifar10": KnownData("image", _CIFAR, ImageBox((3, 32, 32)), (45000, 5000, 10000), _BRIGHTNESS),
    "cifar10_5k": KnownData("image", _CIFAR, ImageBox((3, 32, 32)), (3500, 500, 1000), _BRIGHTNESS),
    "adult": KnownData("tabular", ("<=50K", ">50K"), _ADULT, (29561, 3000, 16281), {"sex": 2, "race": 5}),
    "compas": KnownData(
        "tabular", ("no recidivism", "recidivism"), _COMPAS, (4329, 721, 2164), {"sex": 2, "race": 6}
    ),
    "sst2": KnownData("text", _OPINION, _TEXTS, (64978, 2000, 872), {}),
    "rt_polarity": KnownData("text", _OPINION, _TEXTS, (7662, 1000, 2000), {}),
}
