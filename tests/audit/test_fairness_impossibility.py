"""Base rates and thresholds: the identity on counts, what is forced, brute force at every threshold."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from raiaudit.audit.check import Check
from raiaudit.audit.fairness.counting.tally import BINS, Tally
from raiaudit.audit.fairness.profiles.config import ProfilesConfig
from raiaudit.audit.fairness.profiles.criteria import CRITERIA, Rates, forced_fnr, forced_fpr, forced_ppv
from raiaudit.audit.fairness.profiles.impossibility import impossibility
from raiaudit.audit.fairness.profiles.profiles import Profiles
from raiaudit.audit.fairness.profiles.thresholds import STEPS, thresholds
from raiaudit.audit.ledger import Ledger
from raiaudit.audit.statistics.intervals import wilson
from raiaudit.errors import UnknownNameError

if TYPE_CHECKING:
    from raiaudit.audit.subject import Subject

TWO = ("no", "yes")
COMPAS = {"African-American": (1369, 805, 532, 990), "Caucasian": (505, 349, 461, 1139)}
"""TP, FP, FN, TN of the published analysis."""


def tally_of(counts: dict[str, tuple[int, int, int, int]]) -> Tally:
    parts = ((1, 1), (0, 1), (1, 0), (0, 0))
    rows = [
        (group, label, predicted)
        for group, numbers in counts.items()
        for (label, predicted), n in zip(parts, numbers, strict=True)
        for _ in range(n)
    ]
    frame = pl.DataFrame(rows, schema=["race", "label", "predicted"], orient="row")
    return Tally.of(frame, attributes=["race"], classes=TWO, positive=1)


def panel(
    counts: dict[str, tuple[int, int, int, int]], minimum: int = 30
) -> tuple[Any, pl.DataFrame, pl.DataFrame]:
    rng = np.random.default_rng(0)
    return impossibility(tally_of(counts), "race", min_group=minimum, confidence=0.95, draws=499, rng=rng)


def test_the_identity_holds_on_any_confusion_matrix() -> None:
    rng = np.random.default_rng(1)
    for tp, fp, fn, tn in rng.integers(1, 400, size=(500, 4)).tolist():
        base, ppv = (tp + fn) / (tp + fp + fn + tn), tp / (tp + fp)
        fpr, fnr = fp / (fp + tn), fn / (tp + fn)
        assert forced_fpr(base, ppv, fnr) == pytest.approx(fpr, abs=1e-12)
        assert forced_fnr(base, ppv, fpr) == pytest.approx(fnr, abs=1e-12)
        assert forced_ppv(base, fpr, fnr) == pytest.approx(ppv, abs=1e-12)


def test_compas_and_what_equal_ppv_and_fnr_would_force() -> None:
    measured, rows, criteria = panel(COMPAS)
    black, white = rows.sort("group").iter_rows(named=True)
    assert rows["identity_error"].max() <= 1e-12  # type: ignore[operator]
    assert (black["fpr"], white["fpr"]) == (pytest.approx(0.4485, abs=5e-5), pytest.approx(0.2345, abs=5e-5))
    assert (black["ppv"], white["fnr"]) == (pytest.approx(0.6297, abs=5e-5), pytest.approx(0.4772, abs=5e-5))
    ppv, fnr = 1874 / 3028, 993 / 2867
    odds = 1901 / 1795, 966 / 1488
    for row, odd in zip((black, white), odds, strict=True):
        assert row["forced_fpr"] == pytest.approx(odd * (1 - ppv) / ppv * (1 - fnr), abs=1e-12)
        assert row["forced_fpr_low"] < row["forced_fpr"] < row["forced_fpr_high"]
    assert (black["low"], black["high"]) == wilson(1901, 3696)
    assert set(criteria["together"]) == {"no"}
    assert {m.metric for m in measured} == {
        *("base_rate", "forced_false_positive_rate", "base_rate_difference", "base_rate_p_value")
    }


def test_a_rate_that_no_confusion_matrix_has_is_undefined() -> None:
    assert forced_fpr(0.9, 0.2, 0.0) is None  # would be 36
    assert forced_fnr(0.1, 0.9, 0.5) is None
    assert forced_fpr(0.0, 0.5, 0.5) is None
    assert forced_fpr(0.5, 0.0, 0.5) is None
    assert forced_ppv(0.5, 0.0, 1.0) is None


def test_base_rates_alike_rule_nothing_out() -> None:
    _, _, criteria = panel({"a": (30, 20, 20, 30), "b": (31, 19, 19, 31)})
    assert set(criteria["together"]) == {"not ruled out"}


def test_predictions_without_error_escape_what_they_can() -> None:
    _, _, criteria = panel({"a": (80, 0, 0, 20), "b": (20, 0, 0, 80)})
    said = dict(zip(criteria["criteria"].to_list(), criteria["together"].to_list(), strict=True))
    assert said["equal PPV, equal FPR and equal FNR"] == "yes"
    assert said["equal selection rates and equalized odds"] == "no"  # they select by the base rate
    assert said["equal selection rates, equal PPV and equal NPV"] == "no"


def test_criteria_against_a_search_over_tables() -> None:
    """Two groups of 12 with base rates 1/3 and 1/2, all pairs of tables: what is called impossible is."""
    tables: dict[int, list[tuple[int, int, int, int]]] = {
        k: [(tp, fp, k - tp, 12 - k - fp) for tp in range(k + 1) for fp in range(13 - k)] for k in (4, 6)
    }

    def rates(table: tuple[int, int, int, int]) -> tuple[Any, ...]:
        tp, fp, fn, tn = table
        shares = ((tp, tp + fp), (fp, fp + tn), (fn, tp + fn), (tn, tn + fn))
        return *(None if n == 0 else round(k / n, 12) for k, n in shares), tp + fp

    asked = {0: (0, 1, 2), 2: (4, 1, 2), 3: (4, 0, 3)}
    for criterion, parts in asked.items():
        for one in tables[4]:
            for other in tables[6]:
                a, b = rates(one), rates(other)
                if any(a[i] is None or a[i] != b[i] for i in parts):
                    continue
                tp, fp, fn, tn = (x + y for x, y in zip(one, other, strict=True))
                ppv = None if tp + fp == 0 else tp / (tp + fp)
                pooled = Rates((tp + fn) / 24, ppv, round(fp / (fp + tn), 12), round(fn / (tp + fn), 12))
                assert CRITERIA[criterion].escapes(pooled), (criterion, one, other)


def test_one_group_or_no_positives() -> None:
    measured, rows, criteria = panel({"a": (10, 10, 10, 10), "b": (0, 3, 0, 5)})
    assert set(criteria["together"]) == {"not answered"}
    [test] = [m for m in measured if m.metric == "base_rate_p_value"]
    assert (test.value, test.reason) == (None, "fewer than two groups can be compared")
    b = rows.filter(group="b").row(0, named=True)
    assert (b["base_rate"], b["fnr"], b["forced_fpr"], b["note"]) == (
        0,
        None,
        None,
        "only 8 of 30 needed examples",
    )
    _, rows, _ = panel({"a": (10, 10, 10, 10), "b": (0, 0, 0, 40)})
    b = rows.filter(group="b").row(0, named=True)
    assert (b["ppv"], b["fnr"], b["forced_fpr"], b["identity_error"]) == (None, None, None, None)


def test_what_cannot_be_forced_is_undefined_with_the_reason() -> None:
    """At base rate 99 % pooled PPV and FNR would need an FPR above 1; and nobody predicted positive."""
    measured, _, _ = panel({"a": (99, 0, 0, 1), "b": (20, 60, 0, 20)})
    forced = {m.where["group"]: m for m in measured if m.metric == "forced_false_positive_rate"}
    assert forced["a"].value is None
    assert "no predictions at this base rate" in (forced["a"].reason or "")
    assert forced["b"].value is not None
    measured, _, _ = panel({"a": (0, 0, 20, 20), "b": (0, 0, 10, 40)})
    assert {m.reason for m in measured if m.metric == "forced_false_positive_rate"} == {
        "nobody is predicted positive"
    }


def scored(n: int = 400) -> tuple[pl.DataFrame, Tally]:
    rng = np.random.default_rng(4)
    score = np.concatenate([rng.random(n - 3), [0.0, 0.5, 1.0]])
    frame = pl.DataFrame(
        {
            "sex": rng.choice(["f", "m"], n),
            "label": (rng.random(n) < score).astype(int),
            "predicted": (score >= 0.5).astype(int),
            "score": score,
        }
    )
    return frame, Tally.of(frame, attributes=["sex"], classes=TWO, positive=1)


def test_every_threshold_by_brute_force() -> None:
    frame, tally = scored()
    table = thresholds(tally, "sex")
    grid = table.filter(~pl.col("audited"))
    assert grid.height == 2 * (STEPS + 1)
    for row in grid.iter_rows(named=True):
        here = frame.filter(sex=row["group"])
        edge = round(row["threshold"] * BINS)
        assert edge == row["threshold"] * BINS
        # At 1 nobody: a threshold above every score.
        chosen = here["score"] >= (row["threshold"] if row["threshold"] < 1 else 2.0)
        label = here["label"] == 1
        counts = [
            (chosen & label).sum(),
            (chosen & ~label).sum(),
            (~chosen & label).sum(),
            (~chosen & ~label).sum(),
        ]
        assert [row[name] for name in ("tp", "fp", "fn", "tn")] == counts
        assert row["selected"] == chosen.sum()
    points = table.filter(pl.col("audited"))
    assert points["threshold"].to_list() == [0.5, 0.5]
    at = grid.filter(threshold=0.5).drop("audited")
    assert points.drop("audited").rows() == at.rows()


def test_many_groups_keep_the_largest() -> None:
    frame, _ = scored(600)
    frame = frame.with_columns(sex=pl.int_range(600).floordiv(5).clip(0, 80).cast(pl.String))
    table = thresholds(Tally.of(frame, attributes=["sex"], classes=TWO, positive=1), "sex")
    assert table["group"].n_unique() == 50
    assert "80" in table["group"]  # the one with the most people


Echo = Callable[..., "Subject"]
Run = Callable[..., Ledger]


def test_through_a_ledger(make_echo: Echo, run_check: Run) -> None:
    check = Profiles()
    assert isinstance(check, Check)
    rng = np.random.default_rng(5)
    label, sex = rng.integers(2, size=300), rng.choice(["f", "m"], 300)
    logits = rng.normal(size=(300, 2)) + np.eye(2)[label]
    groups = {"sex": sex.tolist(), "race": rng.choice(["x", "y"], 300).tolist()}
    subject = make_echo(logits, label, classes=TWO, groups=groups)
    config = ProfilesConfig(profiles=("four_fifths", "nyc_ll144"), columns=("sex",), permutations=99)
    ledger = run_check(check, subject, config)
    measured = check.summarise(ledger, subject, config)
    assert measured == check.summarise(ledger, subject, config)
    assert {m.check for m in measured} == {"fairness.profiles"}
    assert {m.where.get("attribute") for m in measured} == {"sex", "race", "sex & race"}
    tables = check.evidence(ledger, subject, config)
    picked = logits.argmax(1) == 1
    [women] = tables["four_fifths"].filter(group="f").iter_rows(named=True)
    assert (women["selected"], women["n"]) == (picked[sex == "f"].sum(), (sex == "f").sum())
    assert {"profiles", "ll144", "impossibility", "criteria", "thresholds"} <= set(tables)
    audited = tables["thresholds"].filter("audited")
    assert sum(audited["selected"].to_list()) == picked.sum()
    assert set(audited["threshold"]) == {0.5}
    with pytest.raises(UnknownNameError, match="did you mean 'race'"):
        check.tasks(subject, ProfilesConfig(columns=("racee",)))
