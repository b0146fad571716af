"""What the ledger says of the maps' faithfulness: gains over controls, tests, curves. No model is asked.

A gain is what a method does better than a control on the same example, positive for the method whichever way
its metric points. `faithfulness_gain` is the control's deletion area less the method's, against the strongest
control: the least of the gains and of their limits. The limits are simultaneous over methods and controls
(max-t bootstrap over examples), so that "low > 0" may be read off any of them: the map beats all its
controls. `detail_gain` is the same against the map's own blur, and no part of that verdict. P-values of all
metrics are by sign flips, adjusted by Benjamini and Hochberg over methods × metrics × controls.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import polars as pl

from raiaudit.audit.explanations.quality.comparison import sign_flip, simultaneous
from raiaudit.audit.explanations.quality.controls import BLURRED, INPUT_CONTROL
from raiaudit.audit.explanations.quality.trace_metrics import TRACE_METRICS
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.statistics.intervals import Interval, mean_bootstrap
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.audit.statistics.multiplicity import benjamini_hochberg

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from raiaudit.audit.explanations.quality.faithfulness import FaithfulnessConfig
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject

__all__ = ["measurements", "tables"]

_ID = "explanations.faithfulness"
_SCHEMA = {
    "method": pl.String,
    "metric": pl.String,
    "control": pl.String,
    "gain": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p": pl.Float64,
    "p_adjusted": pl.Float64,
    "n": pl.Int64,
}


class _Metric(NamedTuple):
    better: Literal["higher", "lower", "neither"]
    citation: str
    unit: str = ""


_COMPARED = {
    **{name: _Metric(spec.better, spec.citation, spec.unit) for name, spec in TRACE_METRICS.items()},
    "infidelity": _Metric("lower", "yeh2019"),
}
_ALONE = {
    "max_sensitivity": _Metric("lower", "yeh2019"),
    "complexity": _Metric("neither", "bhatt2020"),
    "sparseness": _Metric("neither", "chalasani2020"),
}
_LOCALISATION = {
    "relevance_mass": _Metric("higher", "arras2022"),
    "relevance_rank": _Metric("higher", "arras2022"),
    "pointing_game": _Metric("higher", "zhang2018"),
}


class _Ledger:
    """The rows of the check, by map and metric; None where a method made no maps."""

    def __init__(self, ledger: LedgerReader, subject: Subject, config: FaithfulnessConfig) -> None:
        self.seed, self.config = subject.seed, config
        self.modality = subject.dataset.modality
        wanted = ["predicted"]
        known = set(ledger.columns())
        maps = [*config.methods, *self.controls, *(f"blurred:{name}" for name in config.methods)]
        whats = [*_COMPARED, *_ALONE, *_LOCALISATION, "most", "least", "reason"]
        wanted += [f"{name}.{what}" for name, what in product(maps, whats)]
        columns = [f"faithfulness.{name}" for name in wanted if f"faithfulness.{name}" in known]
        rows = ledger.scan(*columns).drop_nulls("faithfulness.predicted").collect()
        self.rows = rows.rename({name: name.removeprefix("faithfulness.") for name in columns})

    @property
    def controls(self) -> tuple[str, str]:
        """What every method must beat."""
        return ("random", INPUT_CONTROL[self.modality])

    @property
    def judged(self) -> list[str]:
        """The methods that made maps."""
        return [name for name in self.config.methods if f"{name}.deletion_auc" in self.rows.columns]

    def values(self, name: str, metric: str) -> NDArray[np.float64]:
        column = f"{name}.{metric}"
        if column not in self.rows.columns:
            return np.full(self.rows.height, np.nan)
        return self.rows[column].cast(pl.Float64).fill_null(float("nan")).to_numpy()

    def gain(self, method: str, metric: str, control: str) -> NDArray[np.float64]:
        """By how much the method is better, N."""
        sign = 1 if _COMPARED[metric].better == "higher" else -1
        return sign * (self.values(method, metric) - self.values(control, metric))

    def reason(self, method: str) -> str:
        column = f"{method}.reason"
        found = (
            self.rows[column].drop_nulls() if column in self.rows.columns else pl.Series([], dtype=pl.String)
        )
        return str(found[0]) if len(found) else "no maps were made"


def measurements(ledger: LedgerReader, subject: Subject, config: FaithfulnessConfig) -> list[Measurement]:
    """Gains first, then every metric of every method."""
    rows = _Ledger(ledger, subject, config)
    tests = _tests(rows)
    found = [_undefined(name, rows.reason(name)) for name in config.methods if name not in rows.judged]
    for method in rows.judged:
        found += _gains(rows, method, tests)
    alone = [name for name in _ALONE if config.draws or name != "max_sensitivity"]
    metrics = _COMPARED | {name: _ALONE[name] for name in alone}
    if config.planted is not None:
        metrics |= _LOCALISATION
    for metric, spec in metrics.items():
        found += [_mean(rows, method, metric, spec) for method in rows.judged]
        if metric == "deletion_auc" and rows.judged:
            found += [_mean(rows, control, metric, spec) for control in rows.controls]
    return found


def _undefined(method: str, reason: str) -> Measurement:
    return Measurement(
        check=_ID,
        metric="faithfulness_gain",
        value=None,
        reason=reason,
        n=0,
        better="higher",
        where={"method": method},
        method="petsiuk2018",
    )


def _gains(rows: _Ledger, method: str, tests: pl.DataFrame) -> list[Measurement]:
    """Against the strongest control, against each, and against the map's own blur."""
    own = tests.filter((pl.col("method") == method) & (pl.col("metric") == "deletion_auc"))
    part = own.filter(pl.col("control").is_in(rows.controls))

    def gain(metric: str, found: pl.DataFrame, **more: Any) -> Measurement:
        value, low, high = (_least(found[name]) for name in ("gain", "low", "high"))
        columns = [f"faithfulness.{name}.deletion_auc" for name in (method, *found["control"])]
        return Measurement(
            check=_ID,
            metric=metric,
            value=value,
            low=low,
            high=high,
            n=rows.rows.height,
            better="higher",
            method="petsiuk2018",
            evidence=tuple(columns),
            **more,
        )

    found = [gain("faithfulness_gain", part, where={"method": method})]
    for control in rows.controls:
        where = {"method": method, "control": control}
        one = part.filter(pl.col("control") == control)
        found.append(gain("faithfulness_gain", one, where=where, beside="control"))
    blur = own.filter(pl.col("control") == f"blurred:{method}")
    if blur.height:
        found.append(gain("detail_gain", blur, where={"method": method}))
    return found


def _least(values: pl.Series) -> float | None:
    return None if values.null_count() else min(values.to_list())


def _mean(rows: _Ledger, name: str, metric: str, spec: _Metric) -> Measurement:
    values = rows.values(name, metric)
    there = values[~np.isnan(values)]
    reason, low, high = None, None, None
    if not len(there):
        reason = _WHY_NOT.get(metric, "no map of this method says anything: all are zero")
    elif len(there) > 1:
        low, high = mean_bootstrap(there, rng=keyed_rng(rows.seed, _ID, name, metric))
    return Measurement(
        check=_ID,
        metric=metric,
        value=float(there.mean()) if len(there) else None,
        low=low,
        high=high,
        n=len(there),
        unit=spec.unit,
        better=spec.better,
        where={"method": name},
        method=spec.citation,
        reason=reason,
        evidence=(f"faithfulness.{name}.{metric}",),
    )


_WHY_NOT = {
    "infidelity": "no patch changes the model's answer",
    "max_sensitivity": "all its maps are zero, or its inputs, words, cannot be moved a little",
    **dict.fromkeys(("complexity", "sparseness"), "all its maps are zero, or have one feature"),
    "monotonicity": "no example has a feature to remove",
    **dict.fromkeys(_LOCALISATION, "no example holds what was planted, or no map speaks for the class"),
}


def _tests(rows: _Ledger) -> pl.DataFrame:
    """Method × metric × control: mean gain, simultaneous limits (deletion), p-values."""
    keys = [
        (method, metric, control)
        for method in rows.judged
        for metric in _COMPARED
        for control in _held_against(rows, method, metric)
    ]
    if not keys:
        return pl.DataFrame(schema=_SCHEMA)
    gains_NK = np.column_stack([rows.gain(*key) for key in keys])
    count_K = (~np.isnan(gains_NK)).sum(axis=0)
    whole, n = count_K == len(gains_NK), len(gains_NK)
    limits: dict[int, Interval] = {}
    p_values: list[float | None] = [None] * len(keys)
    if n > 1:
        deletion = [k for k, key in enumerate(keys) if key[1] == "deletion_auc" and whole[k]]
        rng = keyed_rng(rows.seed, _ID, "simultaneous")
        limits = dict(zip(deletion, simultaneous(gains_NK[:, deletion], rng=rng), strict=True))
        tested = sign_flip(gains_NK, rng=keyed_rng(rows.seed, _ID, "sign flip"))
        # A map is meant to beat what knows nothing; its own blur is no hypothesis of the verdict.
        p_values = [
            None if count < 2 or key[2].startswith("blurred:") else float(p)
            for p, count, key in zip(tested, count_K, keys, strict=True)
        ]
    adjusted = benjamini_hochberg(p_values)
    records = [
        {
            "method": method,
            "metric": metric,
            "control": control,
            "gain": float(np.nanmean(gains_NK[:, k])) if count_K[k] else None,
            "low": limits[k].low if k in limits else None,
            "high": limits[k].high if k in limits else None,
            "p": p_values[k],
            "p_adjusted": adjusted[k],
            "n": int(count_K[k]),
        }
        for k, (method, metric, control) in enumerate(keys)
    ]
    return pl.DataFrame(records, schema=_SCHEMA)


def _held_against(rows: _Ledger, method: str, metric: str) -> Sequence[str]:
    blur = rows.modality in BLURRED and metric == "deletion_auc"
    return [*rows.controls, *([f"blurred:{method}"] if blur else [])]


def tables(ledger: LedgerReader, subject: Subject, config: FaithfulnessConfig) -> Mapping[str, pl.DataFrame]:
    """`tests`, and `traces`: the mean curve of every map with its band (95 %, pointwise, over examples)."""
    rows = _Ledger(ledger, subject, config)
    parts = []
    for name, kind in product([*rows.judged, *rows.controls], ("most", "least")):
        if not rows.judged:
            break
        curves_NT = np.array(rows.rows[f"{name}.{kind}"].to_list(), dtype=np.float64)
        mean_T = curves_NT.mean(axis=0)
        band_T = np.full(len(mean_T), np.nan)
        if len(curves_NT) > 1:
            band_T = 1.96 * curves_NT.std(axis=0, ddof=1) / np.sqrt(len(curves_NT))
        parts.append(
            pl.DataFrame(
                {
                    "map": [name] * len(mean_T),
                    "first": [kind] * len(mean_T),
                    "control": [name in rows.controls] * len(mean_T),
                    "removed": np.linspace(0, 1, len(mean_T)),
                    "probability": mean_T,
                    "low": np.clip(mean_T - band_T, 0, 1),
                    "high": np.clip(mean_T + band_T, 0, 1),
                }
            )
        )
    found = {"tests": _tests(rows)}
    if parts:
        found["traces"] = pl.concat(parts).fill_nan(None)
    return found
