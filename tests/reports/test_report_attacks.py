"""Several membership attacks in one report: the headline leads, a stronger one is remarked on."""

from __future__ import annotations

import re
from datetime import date
from types import SimpleNamespace
from typing import Any

import polars as pl

from raiaudit.audit.measurement import Measurement
from raiaudit.reports import charts
from raiaudit.reports.content.sections import sections
from raiaudit.reports.words.headline import COLUMNS
from raiaudit.reports.words.remarks import remarks

CHECK = "privacy.membership"
AUC = next(column for column in COLUMNS if column.title == "Membership AUC")


def auc(attack: str, value: float | None, *, first: bool = False, reason: str | None = None) -> Measurement:
    return Measurement(
        check=CHECK,
        metric="membership_auc",
        value=value,
        low=None if value is None else value - 0.02,
        high=None if value is None else value + 0.02,
        n=100,
        better="lower",
        where={"attack": attack},
        method="delong1988",
        reason=reason,
        beside=None if first else "attack",
    )


def results(*measured: Measurement) -> Any:
    outcome = SimpleNamespace(check=CHECK, question="?", status="ran", reason=None, config={})
    return SimpleNamespace(measurements=measured, verdicts=(), checks=(outcome,))


def test_the_headline_stands_in_tables_and_a_clearly_stronger_attack_is_remarked() -> None:
    first = auc("lira", 0.6, first=True)
    found = results(first, auc("rmia", 0.65), auc("base", 0.7), auc("loss", 0.55))
    assert AUC.pick(found) == first
    (said,) = remarks(found, CHECK)
    assert said.startswith("base finds more members than lira, the headline: AUC 0.700 [0.680, 0.720]")
    assert remarks(results(first, auc("base", 0.63)), CHECK) == []


def test_the_same_reason_is_told_once() -> None:
    first = auc("lira", None, first=True, reason="no")
    found = results(
        first, auc("base", None, reason="no"), auc("rmia", None, reason="other"), auc("loss", 0.5)
    )
    (section,) = sections(found, ["delong1988"], owner="", day=date(2026, 11, 20))
    assert [row["slice"] for row in section["rows"]] == ["attack = loss"]
    assert [(row["slice"], row["why"]) for row in section["undefined"]] == [
        ("attack = lira", "no"),
        ("attack = rmia", "other"),
    ]
    assert section["omitted"] == 1


def test_what_all_numbers_of_a_list_share_is_said_above_it() -> None:
    def of(rate: float, attack: str = "loss") -> Measurement:
        return auc(attack, 0.5).model_copy(update={"where": {"attack": attack, "fpr": rate}})

    (section,) = sections(results(of(0.1), of(0.2)), ["delong1988"], owner="", day=date(2026, 11, 20))
    assert section["throughout"] == "attack = loss"
    assert [row["slice"] for row in section["rows"]] == ["FPR = 0.1", "FPR = 0.2"]
    apart = results(of(0.1), auc("base", 0.5), auc("lira", 0.5).model_copy(update={"where": {}}))
    (section,) = sections(apart, ["delong1988"], owner="", day=date(2026, 11, 20))
    assert section["throughout"] == ""
    assert [row["slice"] for row in section["rows"]] == ["attack = loss, FPR = 0.1", "attack = base", ""]


def test_of_many_attacks_the_headline_is_heavy_and_has_the_band() -> None:
    rates = [(0.01, 0.02), (0.1, 0.2), (1.0, 1.0)]
    rows = [
        {"fpr": fpr, "tpr": tpr, "low": tpr / 2, "high": min(1, 2 * tpr), "attack": attack, "rank": rank}
        for rank, attack in enumerate(("rmia", "lira", "base", "loss"))
        for fpr, tpr in rates
    ]
    svg = charts.to_svg(charts.membership_roc(pl.DataFrame(rows)))
    areas = re.findall(r'<g class="mark-area role-mark [^>]*>(.*?)</g>', svg, flags=re.DOTALL)
    assert sum(len(re.findall("<path ", area)) for area in areas) == 1
    widths = sorted(re.findall(r'stroke-width="(2\.8|1\.2)"', svg), reverse=True)
    assert widths == ["2.8", "1.2", "1.2", "1.2"]


def test_the_gain_of_an_attribute_has_a_dot_for_members_and_others() -> None:
    rows = [
        {"column": column, "of": of, "value": 0.01, "low": 0.0, "high": 0.02, "n": 9}
        for column in ("sex", "race")
        for of in ("members", "non-members", "leak")
    ]
    svg = charts.to_svg(charts.attribute_gain(pl.DataFrame(rows)))
    dots = re.findall(r'<g class="mark-symbol role-mark [^>]*>(.*?)</g>', svg, flags=re.DOTALL)
    assert sum(len(re.findall("<path ", group)) for group in dots) == 4
