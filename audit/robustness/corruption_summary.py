"""Accuracy under corruptions in numbers: by severity, by corruption, by kind, and in one (arXiv:1903.12261).

With E(c, s) the error under corruption c at severity s, the corruption error of c is the mean of E(c, s)
over s, and the mean corruption error (mCE) their mean over c. The relative one is what corruption adds: the
mean of E(c, s) − E(clean). The paper divides each c by AlexNet's error, which exists for ImageNet alone;
here nothing is divided.

All of them but accuracy are means over examples of a number that each example has, so their intervals come
from resampling examples: the corruptions of one example are not independent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raiaudit.audit.measurement import Measurement, Scalar
from raiaudit.audit.robustness.corruption_names import CATEGORIES, CATEGORY
from raiaudit.audit.statistics.intervals import mean_bootstrap, wilson
from raiaudit.audit.statistics.keyed import keyed_rng

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.ledger import LedgerReader

__all__ = ["CLEAN", "Outcomes", "column", "measurements", "outcomes", "table"]

CLEAN = "corruption.clean.correct"
_METHOD = "hendrycks2019"
_NOBODY = "no example has an answer under every corruption"


def column(name: str, severity: int) -> str:
    """The ledger column of a corruption at a severity."""
    return f"corruption.{name}-{severity}.correct"


@dataclass(frozen=True)
class Outcomes:
    """Which examples were right: clean, and under corruptions C at severities S."""

    names: tuple[str, ...]
    severities: tuple[int, ...]
    clean_N: NDArray[np.bool_]
    correct_NCS: NDArray[np.bool_]

    @property
    def n(self) -> int:
        """How many examples."""
        return len(self.clean_N)


def outcomes(ledger: LedgerReader, names: Sequence[str], severities: Sequence[int]) -> Outcomes:
    """Of the examples that have an answer under every corruption."""
    wanted = [CLEAN, *(column(name, severity) for name in names for severity in severities)]
    rows = ledger.scan(*wanted).drop_nulls(wanted).select(wanted).collect().to_numpy().astype(bool)
    corrupted_NCS = rows[:, 1:].reshape(len(rows), len(names), len(severities))
    return Outcomes(tuple(names), tuple(severities), rows[:, 0], corrupted_NCS)


def measurements(check: str, found: Outcomes, *, seed: int) -> list[Measurement]:
    """The means first, then by kind, by corruption, and accuracy by corruption and severity."""
    error_NC = 1 - found.correct_NCS.mean(axis=2)
    every = tuple(found.names)

    def mean(
        metric: str, values_N: NDArray[np.float64], names: Sequence[str], **where: Scalar
    ) -> Measurement:
        evidence = tuple(column(name, severity) for name in names for severity in found.severities)
        rng = keyed_rng(seed, check, metric, *where.values())
        low, high = mean_bootstrap(values_N, rng=rng) if found.n > 1 else (None, None)
        return Measurement(
            check=check,
            metric=metric,
            value=float(values_N.mean()) if found.n else None,
            low=low,
            high=high,
            n=found.n,
            better="lower",
            where=where,
            method=_METHOD,
            reason=None if found.n else _NOBODY,
            evidence=evidence if metric != "relative_mean_corruption_error" else (CLEAN, *evidence),
        )

    error_N = error_NC.mean(axis=1) if found.n else np.empty(0)
    measured = [
        mean("mean_corruption_error", error_N, every),
        mean("relative_mean_corruption_error", error_N - (1 - found.clean_N), every),
    ]
    for kind in CATEGORIES:
        members = [name for name in every if CATEGORY[name] == kind]
        if members:
            of_kind_N = error_NC[:, [every.index(name) for name in members]].mean(axis=1)
            measured.append(mean("category_corruption_error", of_kind_N, members, category=kind))
    for name, values_N in zip(every, error_NC.T, strict=True):
        measured.append(mean("corruption_error", values_N, [name], corruption=name))
    return measured + [_accuracy(check, found, *cell) for cell in _cells(found)]


def _cells(found: Outcomes) -> Iterator[tuple[str, int, int]]:
    """Corruption, severity, and how many examples were right."""
    right_CS = found.correct_NCS.sum(axis=0)
    for name, right_S in zip(found.names, right_CS.tolist(), strict=True):
        for severity, right in zip(found.severities, right_S, strict=True):
            yield name, severity, right


def _accuracy(check: str, found: Outcomes, name: str, severity: int, right: int) -> Measurement:
    low, high = wilson(right, found.n) if found.n else (None, None)
    return Measurement(
        check=check,
        metric="corruption_accuracy",
        value=right / found.n if found.n else None,
        low=low,
        high=high,
        n=found.n,
        better="higher",
        where={"corruption": name, "severity": severity},
        method=_METHOD,
        reason=None if found.n else _NOBODY,
        evidence=(column(name, severity),),
    )


def table(found: Outcomes) -> pl.DataFrame:
    """Accuracy with its interval by corruption, with its category, and severity; clean accuracy beside."""
    rows = []
    for name, severity, right in _cells(found) if found.n else ():
        low, high = wilson(right, found.n)
        rows.append(
            {
                "corruption": name,
                "category": CATEGORY[name],
                "severity": severity,
                "accuracy": right / found.n,
                "low": low,
                "high": high,
                "clean_accuracy": float(found.clean_N.mean()),
            }
        )
    return pl.DataFrame(rows)
