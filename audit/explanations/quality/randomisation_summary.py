"""What the ledger says of the maps under randomisation. No model is asked.

The similarity that is judged is the rank correlation of the map as the method gives it: with its sign where
it has one, for the sign is half of what such a map says; that of the absolute values stands beside it.
Intervals are pigeonhole bootstraps over seeds and examples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from raiaudit.audit.explanations.quality.comparison import pigeonhole
from raiaudit.audit.explanations.quality.explained import KNOWN_BAD
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.statistics.keyed import keyed_rng

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.explanations.quality.randomisation import RandomisationConfig
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject

__all__ = ["cascade", "measurements"]

_ID = "explanations.randomisation"
_METRIC, _BAD_METRIC = "randomisation_similarity", "known_bad_similarity"
_FIRST = "output"
"""Of a measurement whose model forgot its output layer alone."""
_JUDGED = "signed"
_BESIDE = ("absolute", "ssim")


class _Ledger:
    """Similarities as arrays stages × seeds × examples."""

    def __init__(self, ledger: LedgerReader, subject: Subject, config: RandomisationConfig) -> None:
        self.seed, self.config = subject.seed, config
        known = ledger.columns()
        columns = sorted(
            name
            for name in known
            if name.startswith("randomisation.") and not name.startswith("randomisation.data.")
        )
        rows = ledger.scan(*columns).drop_nulls("randomisation.layers").collect()
        self.rows = rows.rename({name: name.removeprefix("randomisation.") for name in columns})
        self.stages: list[str] = self.rows["layers"][0].to_list()

    @property
    def methods(self) -> list[str]:
        return list(dict.fromkeys([*self.config.methods, KNOWN_BAD]))

    def there(self, method: str, name: str) -> bool:
        return f"{method}.{name}" in self.rows.columns

    def of(self, method: str, name: str) -> NDArray[np.float64]:
        """Stages × seeds × examples; of a chance column 1 × seeds × examples."""
        lists = self.rows[f"{method}.{name}"].to_list()
        values_NP = np.array([[np.nan if v is None else v for v in row] for row in lists], dtype=np.float64)
        return values_NP.T.reshape(-1, self.config.seeds, len(values_NP))

    def estimate(self, values_SN: NDArray[np.float64], *key: str) -> dict[str, Any]:
        """Value, limits and n, or the reason there are none."""
        there_N = ~np.isnan(values_SN).all(axis=0)
        n = int(there_N.sum())
        if not n:
            return {"value": None, "n": 0, "reason": "no map has ranks to compare: all are constant"}
        found: dict[str, Any] = {"value": float(np.nanmean(values_SN)), "n": n}
        if n > 1:
            rng = keyed_rng(self.seed, _ID, *key)
            found["low"], found["high"] = pigeonhole(values_SN[:, there_N], rng=rng)
        return found


def measurements(ledger: LedgerReader, subject: Subject, config: RandomisationConfig) -> list[Measurement]:
    """At full randomisation; beside it absolute values, the output layer alone random, and chance."""
    rows = _Ledger(ledger, subject, config)
    found = []

    def measured(
        metric: str, method: str, columns: str, estimate: dict[str, Any], **where: str
    ) -> Measurement:
        return Measurement(
            check=_ID,
            metric=metric,
            better="neither" if method == KNOWN_BAD or metric != _METRIC else "lower",
            where={"method": method, **where},
            beside=next(iter(where), None),
            method="adebayo2018",
            evidence=(f"randomisation.{method}.{columns}",),
            **estimate,
        )

    for method in config.methods:
        if not rows.there(method, _JUDGED):
            reason = next(iter(rows.rows[f"{method}.reason"].drop_nulls()), "no maps were made")
            found.append(measured(_METRIC, method, "reason", {"value": None, "n": 0, "reason": reason}))
            continue
        values = rows.of(method, _JUDGED)
        found.append(measured(_METRIC, method, _JUDGED, rows.estimate(values[-1], method, _JUDGED)))
        chance = rows.estimate(rows.of(method, f"{_JUDGED}_chance")[0], method, "chance")
        found.append(measured("randomisation_chance", method, f"{_JUDGED}_chance", chance))
        absolute = rows.estimate(rows.of(method, "absolute")[-1], method, "absolute")
        found.append(measured(_METRIC, method, "absolute", absolute, similarity="absolute"))
        if len(rows.stages) > 1:
            first = rows.estimate(values[0], method, rows.stages[0])
            found.append(measured(_METRIC, method, _JUDGED, first, layers=_FIRST))
    return [*found, *_known_bad(rows, measured)]


def _known_bad(rows: _Ledger, measured: Any) -> list[Measurement]:
    """Guided backpropagation: where its numbers are low too, the test has little power on this model."""
    if not rows.there(KNOWN_BAD, _JUDGED):
        return []
    values = rows.of(KNOWN_BAD, _JUDGED)
    whole, first = (rows.estimate(values[stage], KNOWN_BAD, str(stage)) for stage in (-1, 0))
    return [
        measured(_BAD_METRIC, KNOWN_BAD, _JUDGED, whole),
        measured(_BAD_METRIC, KNOWN_BAD, _JUDGED, first, layers=_FIRST),
    ]


def cascade(ledger: LedgerReader, subject: Subject, config: RandomisationConfig) -> pl.DataFrame:
    """method, similarity, stage, layers, value, low, high, chance; stages from the output on."""
    rows = _Ledger(ledger, subject, config)
    records = []
    for method in rows.methods:
        for name in (_JUDGED, *_BESIDE):
            if not rows.there(method, name):
                continue
            chance = rows.estimate(rows.of(method, f"{name}_chance")[0], method, "chance")["value"]
            for stage, (layers, values_SN) in enumerate(zip(rows.stages, rows.of(method, name), strict=True)):
                estimate = rows.estimate(values_SN, method, name, layers)
                records.append(
                    {
                        "method": method,
                        "known_bad": method == KNOWN_BAD,
                        "similarity": name,
                        "stage": stage + 1,
                        "layers": layers,
                        "value": estimate["value"],
                        "low": estimate.get("low"),
                        "high": estimate.get("high"),
                        "chance": chance,
                    }
                )
    schema = {
        "method": pl.String,
        "known_bad": pl.Boolean,
        "similarity": pl.String,
        "stage": pl.Int64,
        "layers": pl.String,
        "value": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "chance": pl.Float64,
    }
    return pl.DataFrame(records, schema=schema)
