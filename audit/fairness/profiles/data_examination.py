"""Evidence for an examination of data in view of possible biases: EU AI Act, Article 10(2)(f) to (h).

What the audited examples show of each group column, and what was not looked at. The Act sets no number and
none is invented here. Representation is held against shares only where the user gives them: exact test of the
multinomial by simulation, p = (b + 1)/(B + 1) for the chi-square statistic, so that small expected counts do
no harm; intervals of the gaps are Wilson's, simultaneous over the groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from raiaudit.audit.fairness.counting.cells import UNKNOWN
from raiaudit.audit.fairness.profiles.record import Recorder, listed, table
from raiaudit.audit.statistics.intervals import wilson

if TYPE_CHECKING:
    from raiaudit.audit.fairness.counting.tally import Tally
    from raiaudit.audit.measurement import Measurement

__all__ = ["PROFILE", "examination", "multinomial_p_value"]

PROFILE = "eu_ai_act_10_2"
SCHEMA = {"clause": pl.String, "subject": pl.String, "examined": pl.Boolean, "finding": pl.String}
_CHUNK = 1 << 22

_NOT_EXAMINED = (
    ("10(2)(f)", "training and validation data", "only the audited (test) examples were counted"),
    ("10(2)(f)", "how labels came about", "labels are taken as true; bias in them is bias here"),
    ("10(2)(f)", "outputs that influence later inputs", "nothing here observes the system in use"),
    ("10(2)(f)", "groups and proxies that no column names", "only the group columns listed were looked at"),
    ("10(3)", "free of errors and complete", "values were not checked against their source"),
    ("10(5)", "lawfulness of special categories", "whether race and the like may be processed is not judged"),
)


def examination(
    tally: Tally,
    attributes: Sequence[str],
    favourable: int | None,
    shares: Mapping[str, Mapping[str, float]],
    *,
    min_group: int,
    confidence: float,
    draws: int,
    rng: np.random.Generator,
) -> tuple[list[Measurement], pl.DataFrame]:
    """Measurements and the panel (`SCHEMA`): what was examined with what was found, and what was not."""
    measured: list[Measurement] = []
    rows: list[tuple[str, str, bool, str]] = []
    for attribute in attributes:
        record = Recorder({"profile": PROFILE, "attribute": attribute}, confidence)
        sizes = _sizes(tally, attribute)
        total, unknown = sum(sizes.values()), sizes.pop(UNKNOWN, 0)
        limits = wilson(unknown, total, confidence)
        measured.append(
            record.measure(
                "unknown_share", unknown / total, limits, n=total, method="wilson1927", better="lower"
            )
        )
        small = [f"{group} ({n})" for group, n in sizes.items() if n < min_group]
        text = listed([f"{group} {n} ({n / total:.1%})" for group, n in sizes.items()], by=", ")
        rows += [
            ("10(2)(f)", f"{attribute}: groups and sizes", True, text or "no group is recorded"),
            ("10(2)(h)", f"{attribute}: not recorded", True, f"{unknown} of {total} ({unknown / total:.1%})"),
            (
                "10(2)(h)",
                f"{attribute}: groups under {min_group} people",
                True,
                listed(small, by=", ") or "none",
            ),
            _labels(tally, attribute, favourable),
        ]
        if attribute in shares:
            found, text = _representation(sizes, shares[attribute], record, draws=draws, rng=rng)
            measured += found
            rows.append(("10(3)", f"{attribute}: representation", True, text))
        else:
            why = "no `reference_shares` were given to hold the sizes against"
            rows.append(("10(3)", f"{attribute}: representation", False, why))
    rows += [(clause, subject, False, why) for clause, subject, why in _NOT_EXAMINED]
    return measured, table(SCHEMA, [dict(zip(SCHEMA, row, strict=True)) for row in rows])


def multinomial_p_value(
    counts: Sequence[int], shares: Sequence[float], *, rng: np.random.Generator, draws: int
) -> float:
    """P(a chi-square statistic at least as large | people drawn by these shares, all positive)."""
    counts_G, total = np.asarray(counts, dtype=np.int64), sum(counts)
    expected_G = total * np.asarray(shares) / np.sum(shares)

    def statistic(drawn: Any) -> Any:
        return ((drawn - expected_G) ** 2 / expected_G).sum(-1)

    seen, as_far, done = float(statistic(counts_G)), 0, 0
    step = max(1, _CHUNK // len(counts))
    while done < draws:
        batch = min(step, draws - done)
        drawn = rng.multinomial(total, expected_G / total, size=batch)
        as_far += int((statistic(drawn) >= seen * (1 - 1e-12)).sum())
        done += batch
    return (as_far + 1) / (draws + 1)


def _sizes(tally: Tally, attribute: str) -> dict[str, int]:
    counts = tally.table.group_by(attribute).agg(pl.col("n").sum()).sort(attribute)
    return dict(zip(counts[attribute].to_list(), counts["n"].to_list(), strict=True))


def _labels(tally: Tally, attribute: str, favourable: int | None) -> tuple[str, str, bool, str]:
    clause, subject = "10(2)(f)", f"{attribute}: labels by group"
    if not tally.labelled or favourable is None:
        why = "the examples have no labels" if not tally.labelled else "no class is named as favourable"
        return clause, subject, False, why
    counts = (
        tally.table.group_by(attribute)
        .agg(k=pl.col("n").filter(pl.col("label") == favourable).sum(), n=pl.col("n").sum())
        .sort(attribute)
    )
    rates = listed([f"{group} {k / n:.1%}" for group, k, n in counts.rows()], by=", ")
    return clause, subject, True, f"labelled {tally.classes[favourable]}: {rates}"


def _representation(
    sizes: Mapping[str, int],
    shares: Mapping[str, float],
    record: Recorder,
    *,
    draws: int,
    rng: np.random.Generator,
) -> tuple[list[Measurement], str]:
    """Gaps between the share here and the share given, and the exact test that there is none."""
    total = sum(sizes.values())
    strangers = sorted(set(sizes) - set(shares))
    if strangers or not total:
        reason = (
            f"`reference_shares` lack {listed(strangers, by=', ')}" if strangers else "no group is recorded"
        )
        undefined = record.measure("representation_p_value", None, n=total, method="dwass1957", reason=reason)
        return [undefined], reason
    counts = [sizes.get(group, 0) for group in shares]
    p_value = multinomial_p_value(counts, list(shares.values()), rng=rng, draws=draws)
    measured = [record.measure("representation_p_value", p_value, n=total, method="dwass1957")]
    each = 1 - (1 - record.confidence) / len(shares)
    told = []
    for (group, share), n in zip(shares.items(), counts, strict=True):
        low, high = wilson(n, total, each)
        gap = n / total - share
        measured.append(
            record.measure(
                "representation_gap",
                gap,
                (low - share, high - share),
                n=total,
                method="wilson1927",
                group=group,
            )
        )
        told.append(f"{group} {n / total:.1%} against {share:.1%}")
    return measured, f"{listed(told, by=', ')}; p = {p_value:.2g}"
