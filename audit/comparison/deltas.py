"""Every quantity that two runs share, with its difference: paired where the ledgers allow it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from raiaudit.audit.comparison.paired import test_means, test_unpaired, test_yes_no
from raiaudit.audit.comparison.pairing import Pairs, Rows, pairs_of
from raiaudit.audit.comparison.results import Delta
from raiaudit.audit.comparison.settings import why_measured_otherwise
from raiaudit.audit.statistics.intervals import Interval
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.errors import RaiauditError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.results import Results
    from raiaudit.audit.store import Run

__all__ = ["Both", "Found", "Paired", "deltas_of"]

_NOT_OF_GROUPS = frozenset({"group", "reference", "from", "to"})
# A logit has no scale that two models share.
_UNITS_OF_ONE_MODEL = frozenset({"logits"})
# Says of an evaluation whether it can be trusted, and nothing of how good a model is.
_OF_THE_EVALUATION = "robustness.reliability"


class Both(NamedTuple):
    """A run and the reference: results, and the rows of their ledgers. `place` is the run's among all, and
    `other_versions` the checks that changed between the two.
    """

    place: int
    ours: tuple[Run, Results]
    reference: tuple[Run, Results]
    rows: Rows
    reference_rows: Rows
    other_versions: frozenset[str]
    confidence: float


class Paired(NamedTuple):
    """A yes/no quantity with the values behind it."""

    delta: Delta
    pairs: Pairs


@dataclass(slots=True)
class Found:
    """`pairs` of the yes/no quantities alone; `reasons` are (check, metric, why it is not compared)."""

    deltas: list[Delta] = field(default_factory=list)
    pairs: list[Paired] = field(default_factory=list)
    reasons: list[tuple[str, str, str]] = field(default_factory=list)


def deltas_of(both: Both) -> Found:
    """In the order of the reference's measurements."""
    found = Found()
    mine = {_key(m): m for m in _comparable(both.ours[1])}
    theirs = {_key(m): m for m in _comparable(both.reference[1])}
    seen: list[tuple[str, Pairs]] = []
    for key, base in theirs.items():
        if (ours := mine.get(key)) is None:
            continue
        why = why_measured_otherwise(base, both.ours[1], both.reference[1])
        if base.check in both.other_versions:
            why = "measured by another version of the check"
        if why is not None:
            found.reasons.append((base.check, base.metric, why))
            continue
        pairs = pairs_of(both.rows, ours, both.reference_rows, base)
        if isinstance(pairs, str):
            found.reasons.append((base.check, base.metric, pairs))
        elif pairs is None:
            _add_unpaired(found, both, ours, base)
        elif not any(metric != base.metric and _same(pairs, other) for metric, other in seen):
            seen.append((base.metric, pairs))
            _add_paired(found, both, ours, base, pairs)
    found.reasons += _lonely(both, mine, theirs)
    return found


def _add_paired(found: Found, both: Both, ours: Measurement, base: Measurement, pairs: Pairs) -> None:
    if pairs.parts == 1:
        tested = test_yes_no(pairs, both.confidence)
        a_N, b_N = pairs.ours_N > 0.5, pairs.reference_N > 0.5
        gained, lost = int((a_N & ~b_N).sum()), int((b_N & ~a_N).sum())
        if base.better == "lower":
            gained, lost = lost, gained
        delta = _delta(both, ours, base, "yes/no", *tested, fixed=gained, broken=lost, n=len(pairs.ids))
        found.pairs.append(Paired(delta, pairs))
    else:
        rng = keyed_rng(both.reference[1].seed, "comparison", base.check, base.label())
        tested = test_means(pairs, both.confidence, rng)
        delta = _delta(both, ours, base, "mean", *tested, n=len(pairs.ids))
    found.deltas.append(delta)


def _add_unpaired(found: Found, both: Both, ours: Measurement, base: Measurement) -> None:
    if (area := _areas(both, ours, base)) is not None:
        found.deltas.append(area)
        return
    assert ours.value is not None
    assert base.value is not None
    gap = ours.value - base.value
    tested: tuple[float, float | None, float | None, float | None] = (gap, None, None, None)
    if None not in (ours.low, ours.high, base.low, base.high):
        levels = {ours.confidence, base.confidence}
        if levels != {both.confidence}:
            told = " and ".join(f"{level:.0%}" for level in sorted(levels))
            found.reasons.append((base.check, base.metric, f"their intervals are of {told}"))
            return
        tested = test_unpaired(ours.value, _interval(ours), base.value, _interval(base), both.confidence)
    found.deltas.append(_delta(both, ours, base, "unpaired", *tested, n=min(ours.n, base.n)))


def _areas(both: Both, ours: Measurement, base: Measurement) -> Delta | None:
    """Of an attack on the same members and others, whose scores both ledgers hold."""
    if (base.check, base.metric) != ("privacy.membership", "membership_auc") or "attack" not in base.where:
        return None
    from raiaudit.audit.privacy.inference.membership_summary import membership_scores, parted
    from raiaudit.audit.statistics.intervals import auc_delong
    from raiaudit.audit.statistics.paired_auc import paired_auc_difference, paired_auc_p

    attack = base.where["attack"]
    try:
        tables = [
            membership_scores(run.ledger, attack).sort("example_id")  # type: ignore[arg-type]  # it was one
            for run, _ in (both.ours, both.reference)
        ]
    except (RaiauditError, KeyError):
        return None
    if not tables[0].select("example_id", "member").equals(tables[1].select("example_id", "member")):
        return None
    a, b = parted(tables[0]), parted(tables[1])
    for side, m in ((a, ours), (b, base)):
        area = auc_delong(*side).value
        if area is None or m.value is None or abs(area - m.value) > 1e-9:
            return None
    low, high = paired_auc_difference(*a, *b, confidence=both.confidence)
    assert ours.value is not None
    assert base.value is not None
    gap, p = ours.value - base.value, paired_auc_p(*a, *b)
    return _delta(both, ours, base, "AUC", gap, low, high, p, n=tables[0].height)


def _delta(
    both: Both,
    ours: Measurement,
    base: Measurement,
    kind: str,
    gap: float,
    low: float | None,
    high: float | None,
    p: float | None,
    *,
    n: int,
    fixed: int | None = None,
    broken: int | None = None,
) -> Delta:
    return Delta.model_validate(
        {
            "run": both.place,
            "check": base.check,
            "metric": base.metric,
            "where": base.where,
            "unit": base.unit,
            "better": base.better,
            "kind": kind,
            "n": n,
            "reference": base.value,
            "value": ours.value,
            "difference": gap,
            "low": low,
            "high": high,
            "p": p,
            "fixed": fixed,
            "broken": broken,
            "confidence": both.confidence,
        }
    )


def _comparable(results: Results) -> list[Measurement]:
    """What has a value and a better side, and is not one of many groups or classes."""
    return [
        m
        for m in results.measurements
        if m.value is not None
        and m.better != "neither"
        and m.beside is None
        and m.check != _OF_THE_EVALUATION
        and m.unit not in _UNITS_OF_ONE_MODEL
        and not _NOT_OF_GROUPS & m.where.keys()
    ]


def _lonely(
    both: Both, mine: dict[tuple[str, str, str], Measurement], theirs: dict[tuple[str, str, str], Measurement]
) -> Iterator[tuple[str, str, str]]:
    """What one side alone measured, and why the other did not."""
    for holds, lacks, results, here, there in (
        (theirs, mine, both.ours[1], "the reference", "the run"),
        (mine, theirs, both.reference[1], "the run", "the reference"),
    ):
        ran = {outcome.check for outcome in results.checks if outcome.status == "ran"}
        for key, m in holds.items():
            if key in lacks:
                continue
            others = [other for other in lacks.values() if (other.check, other.metric) == (m.check, m.metric)]
            yield m.check, m.metric, _absence(m, others, m.check in ran, here, there)


def _absence(m: Measurement, others: list[Measurement], ran: bool, here: str, there: str) -> str:
    if not ran:
        return f"the check did not run in {there}"
    if not others:
        return f"not measured, or without a value, in {there}"
    apart = {key: item for key, item in m.where.items() if item not in [o.where.get(key) for o in others]}
    told = ", ".join(
        f"{key} = {item:.4g}" if isinstance(item, float) else f"{key} = {item}"
        for key, item in (apart or m.where).items()
    )
    return f"{told} only in {here}"


def _key(m: Measurement) -> tuple[str, str, str]:
    return m.check, m.metric, repr(sorted(m.where.items()))


def _interval(m: Measurement) -> Interval:
    assert m.low is not None
    assert m.high is not None
    return Interval(m.low, m.high)


def _same(one: Pairs, other: Pairs) -> bool:
    """Whether they are one quantity under two names: clean accuracy, as each check has it."""
    return (
        one.ids.equals(other.ids)
        and np.array_equal(one.ours_N, other.ours_N)
        and np.array_equal(one.reference_N, other.reference_N)
    )
