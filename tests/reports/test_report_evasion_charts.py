"""Charts of an evasion check: every part and class is drawn where its number says."""

from __future__ import annotations

import re
from typing import Any

import polars as pl

from raiaudit.audit.measurement import Measurement
from raiaudit.reports import charts
from raiaudit.reports.words.remarks import remarks


def test_a_stacked_bar_has_a_segment_a_part_and_greys_at_its_ends() -> None:
    parts = {"survived": 0.5, "apgd-ce": 0.3, "clean error": 0.1, "fab-t": 0.1}
    rows = [
        {"line": "autoattack", "part": part, "order": i, "share": share, "count": int(100 * share)}
        for i, (part, share) in enumerate(parts.items())
    ]
    svg = charts.to_svg(charts.attack_contributions(pl.DataFrame(rows)))
    bars = re.findall(r'aria-label="([^"]*part: [^"]*)"[^>]*d="M([\d.]+),[\d.]+h([\d.]+)', svg)
    assert len(bars) == 4
    placed = {re.search(r"part: ([^;]+)", label)[1]: (float(x), float(w)) for label, x, w in bars}  # type: ignore[index]
    order = sorted(placed, key=lambda part: placed[part][0])
    assert (order[0], order[-1]) == ("clean error", "survived")
    assert abs(placed["survived"][1] - 5 * placed["fab-t"][1]) < 0.5


def test_classes_have_two_dots_and_an_empty_one_says_so() -> None:
    row: dict[str, Any] = {"n": 9, "clean": 0.9, "clean_low": 0.8, "clean_high": 1.0}
    row |= {"robust": 0.4, "robust_low": 0.2, "robust_high": 0.6}
    empty = dict.fromkeys(row, None) | {"n": 0}
    table = pl.DataFrame([{"class": "cat", **row}, {"class": "dog", **empty}])
    svg = charts.to_svg(charts.class_robustness(table))
    groups = re.findall(r'<g class="mark-symbol role-mark [^>]*>(.*?)</g>', svg, flags=re.DOTALL)
    assert sum(group.count("<path ") for group in groups) == 2
    assert "no example was attacked" in svg
    assert "dog (n = 0)" in svg


def test_doubts_of_another_check_and_short_budgets_stand_beside_the_numbers() -> None:
    def measured(check: str, metric: str, **more: Any) -> Measurement:
        return Measurement(
            check=check, metric=metric, value=0.5, n=1, better="higher", method="wilson1927", **more
        )

    evasion = measured(
        "robustness.evasion", "robust_accuracy", where={"attack": "autoattack-screen"}, reason="cut short"
    )
    flag = measured(
        "robustness.reliability", "flags_raised", doubts=("robust_accuracy",), reason="masked gradients"
    )

    class Held:
        measurements = (evasion, flag, measured("performance.accuracy", "accuracy"))

    held: Any = Held()
    assert remarks(held, "robustness.evasion") == [
        "Trust in the robustness evaluation: masked gradients",
        "autoattack-screen: cut short",
    ]
    assert remarks(held, "performance.accuracy") == []
