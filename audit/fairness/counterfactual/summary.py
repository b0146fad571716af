"""What the pairs of answers say: how often a decision depends on the group, which way, and by how much.

For every source and attribute, over all its pairs of levels:
- `counterfactual_flip_rate`: the share of pairs whose two decisions differ;
- `counterfactual_any_flip_rate`: the share of examples with at least one such pair, where some have several;
- `counterfactual_same_group_flip_rate`: of pairs within one group (two first names), what they do
  without a change of group;
- `counterfactual_flips`: how many pairs differ. A count, no estimate: it is about these inputs alone.
For every pair of levels with enough pairs, `from` → `to` (of answers without a factual side in alphabetical
order):
- `counterfactual_flip_rate`;
- `counterfactual_effect`: the share turned to the positive class less the share turned from it;
- `counterfactual_score_change`: the mean change of the positive class's score;
- `counterfactual_p_value`: that the effect is none, exactly and by clusters, corrected by Holm for all pairs
  of levels of the check.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from raiaudit.audit.fairness.counterfactual.clustered import (
    effect_interval,
    mean_interval,
    share_interval,
)
from raiaudit.audit.fairness.counterfactual.comparison import Changes, Pairs, by_levels, totals, units_touched
from raiaudit.audit.fairness.counterfactual.probe import ANSWER
from raiaudit.audit.measurement import Measurement, Scalar
from raiaudit.audit.statistics.replicates import holm
from raiaudit.audit.statistics.sign_flips import sign_flip_p

__all__ = ["FLIPS", "Summary"]

_METHODS = {
    "table": "galhotra2017",
    "audited": "garg2019",
    "templates": "garg2019",
    "eec": "kiritchenko2018",
    "hatecheck": "rottger2021",
    "linked": "mcnemar1947",
}
Better = Literal["lower", "neither"]
_NO_CLASS = "no class counts as positive: set `positive` to one of the classes"
_NO_SCORE = "the model gives labels alone: it has no scores to compare"
FLIPS: dict[str, Any] = {
    "source": pl.String,
    "attribute": pl.String,
    "from": pl.String,
    "to": pl.String,
    "positive": pl.String,
    "n": pl.Int64,
    "clusters": pl.Int64,
    "flips": pl.Int64,
    "flip_rate": pl.Float64,
    "flip_low": pl.Float64,
    "flip_high": pl.Float64,
    "to_positive": pl.Int64,
    "from_positive": pl.Int64,
    "effect": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p": pl.Float64,
    "p_adjusted": pl.Float64,
    "score_change": pl.Float64,
    "score_low": pl.Float64,
    "score_high": pl.Float64,
}


@dataclass(frozen=True, slots=True)
class Summary:
    """`positive` is the class that counts as such, if one does; `scored` whether the model gives scores."""

    check: str
    confidence: float
    min_pairs: int
    positive: str | None
    scored: bool

    def measurements(self, pairs: Pairs, lacking: Iterable[tuple[str, str, str]]) -> list[Measurement]:
        """`lacking`: (source, attribute or "", reason) of what was asked for and cannot be answered."""
        overall = {(source, attribute): changes for source, attribute, changes in totals(pairs.across)}
        alike = {(source, attribute): changes for source, attribute, changes in totals(pairs.within)}
        touched = {(source, attribute): changes for source, attribute, changes in units_touched(pairs.across)}
        found = []
        for (source, attribute), changes in overall.items():
            place: dict[str, Scalar] = {"source": source, "attribute": attribute}
            found += [self._rate("flip_rate", place, changes), self._count(place, changes)]
            if (source, attribute) in touched and touched[source, attribute].n < changes.n:
                found.append(self._rate("any_flip_rate", place, touched[source, attribute]))
            if (source, attribute) in alike:
                found.append(self._rate("same_group_flip_rate", place, alike[source, attribute], "neither"))
        for source, attribute, reason in lacking:
            place = {"source": source, "attribute": attribute} if attribute else {"source": source}
            found.append(self._measured("flip_rate", None, place, n=0, reason=reason))
        return [*found, *self._by_levels(pairs.across)]

    def table(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """A row a pair of levels, of any size."""
        rows = []
        for source, attribute, old, new, changes in by_levels(pairs):
            row: dict[str, Any] = {"source": source, "attribute": attribute, "from": old, "to": new}
            row |= {
                "positive": self.positive,
                "n": changes.n,
                "clusters": len(changes.pairs_C),
                "flips": int(changes.changed_C.sum()),
            }
            rows.append(row | (self._numbers(changes) if changes.n else {}))
        enough = [row.get("p") if row["n"] >= self.min_pairs else None for row in rows]
        tested = iter(holm([p for p in enough if p is not None]))
        for row, p in zip(rows, enough, strict=True):
            row["p_adjusted"] = None if p is None else next(tested)
        return pl.DataFrame(rows, schema=FLIPS)

    def _numbers(self, changes: Changes) -> dict[str, Any]:
        n = changes.n
        low, high = share_interval(changes.changed_C, changes.pairs_C, self.confidence)
        found: dict[str, Any] = {
            "flip_rate": int(changes.changed_C.sum()) / n,
            "flip_low": low,
            "flip_high": high,
        }
        if self.positive is not None:
            gained, lost = int(changes.gained_C.sum()), int(changes.lost_C.sum())
            low, high = effect_interval(changes.gained_C, changes.lost_C, changes.pairs_C, self.confidence)
            found |= {"to_positive": gained, "from_positive": lost, "effect": (gained - lost) / n}
            found |= {"low": low, "high": high, "p": sign_flip_p(changes.gained_C - changes.lost_C)}
        if changes.score_C is not None:
            spread = mean_interval(changes.score_C, changes.pairs_C, self.confidence)
            found["score_change"] = float(changes.score_C.sum() / n)
            found |= {"score_low": spread.low, "score_high": spread.high} if spread else {}
        return found

    def _rate(
        self, metric: str, where: Mapping[str, Scalar], changes: Changes, better: Better = "lower"
    ) -> Measurement:
        if not changes.n:
            return self._measured(metric, None, where, n=0, reason=_unanswered(changes))
        return self._measured(
            metric,
            int(changes.changed_C.sum()) / changes.n,
            where,
            n=changes.n,
            better=better,
            bounds=share_interval(changes.changed_C, changes.pairs_C, self.confidence),
            reason=_unanswered(changes),
        )

    def _count(self, where: Mapping[str, Scalar], changes: Changes) -> Measurement:
        """Bounded where answers lack: each of them may be another."""
        flips = int(changes.changed_C.sum())
        return self._measured(
            "flips",
            flips if changes.n else None,
            where,
            n=changes.n,
            bounds=(flips, flips + changes.unanswered) if changes.n and changes.unanswered else None,
            unit="pairs",
            reason=_unanswered(changes),
        )

    def _by_levels(self, pairs: pl.DataFrame) -> Iterator[Measurement]:
        """The clearest first: a report may not have room for all."""
        clearest = ("p_adjusted", pl.col("effect").abs(), "flip_rate")
        rows = self.table(pairs).filter(pl.col("n") >= self.min_pairs)
        rows = rows.sort(*clearest, descending=[False, True, True], nulls_last=True, maintain_order=True)
        for row in rows.iter_rows(named=True):
            where = {key: row[key] for key in ("source", "attribute", "from", "to")}

            def measured(
                metric: str,
                value: str,
                bounds: str | None,
                lacks: str | None,
                *,
                better: Better = "neither",
                method: str | None = None,
                row: Mapping[str, Any] = row,
                where: Mapping[str, Scalar] = where,
            ) -> Measurement:
                low, high = (
                    (row[f"{bounds}low"], row[f"{bounds}high"]) if bounds is not None else (None, None)
                )
                return self._measured(
                    metric,
                    row[value],
                    where,
                    n=row["n"],
                    bounds=(low, high),
                    better=better,
                    method=method,
                    reason=lacks if row[value] is None else None,
                    beside="from",
                )

            test = "mcnemar1947" if row["clusters"] == row["n"] else "durkalski2003"
            no_score = _NO_SCORE if not self.scored else _NO_CLASS
            yield measured("flip_rate", "flip_rate", "flip_", None, better="lower")
            yield measured("effect", "effect", "", _NO_CLASS, method="zou2008")
            yield measured("score_change", "score_change", "score_", no_score)
            yield measured("p_value", "p_adjusted", None, _NO_CLASS, method=test)

    def _measured(
        self,
        metric: str,
        value: float | None,
        where: Mapping[str, Scalar],
        *,
        n: int,
        bounds: tuple[float | None, float | None] | None = None,
        unit: str = "",
        better: Better = "lower",
        method: str | None = None,
        reason: str | None = None,
        beside: str | None = None,
    ) -> Measurement:
        low, high = bounds or (None, None)
        return Measurement(
            check=self.check,
            metric=f"counterfactual_{metric}",
            value=value,
            low=low,
            high=high,
            confidence=self.confidence,
            n=n,
            unit=unit,
            better=better,
            where=dict(where),
            method=method or _METHODS[str(where["source"])],
            reason=reason,
            evidence=ANSWER,
            beside=beside,
        )


def _unanswered(changes: Changes) -> str | None:
    if not changes.n:
        return "the model answered no pair"
    return f"{changes.unanswered} pairs without an answer are left out" if changes.unanswered else None
