"""Charts of an evasion check: every part and class is drawn where its number says."""

from __future__ import annotations

import html
import re
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from raiaudit.audit.measurement import Measurement
from raiaudit.reports import charts
from raiaudit.reports.figures import figures
from raiaudit.reports.figures.drawing import points_of
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


@pytest.mark.parametrize(("radii", "first"), [((0.1, 0.2), 0.8), ((0.0, 0.1), 0.7)])
def test_a_curve_starts_at_the_clean_accuracy_unless_zero_was_measured(
    radii: tuple[float, ...], first: float
) -> None:
    rows = [
        {"eps": eps, "robust_accuracy": 0.7 - eps, "low": 0.0, "high": 1.0, "attack": "pgd", "norm": "linf"}
        for eps in radii
    ]
    clean = Measurement(
        check="robustness.evasion",
        metric="clean_accuracy",
        value=0.8,
        low=0.7,
        high=0.9,
        n=10,
        better="higher",
        method="wilson1927",
        where={"norm": "linf", "attack": "pgd", "eps": radii[0]},
    )

    data = SimpleNamespace(modality="image")
    held: Any = SimpleNamespace(measurements=(clean,), verdicts=(), data=data)
    evidence = {("robustness.evasion", "curve"): pl.DataFrame(rows)}
    ((figure,), _) = figures("robustness.evasion", evidence, held)
    assert f"pgd: 0: {first}, " in figure.alt


@pytest.mark.parametrize(("n", "told"), [(1, 1), (2, 2), (8, 8), (9, 8), (16, 8), (60, 8)])
def test_a_long_curve_is_told_in_eight_points_from_its_first_to_its_last(n: int, told: int) -> None:
    table = pl.DataFrame({"name": ["a"] * n, "x": [float(i) for i in range(n)], "y": [0.5] * n})
    points = points_of(table, "name", "x", "y").removeprefix("a: ").split(", ")
    assert len(points) == len(set(points)) == told
    assert (points[0], points[-1]) == ("0: 0.5", f"{n - 1}: 0.5")


@pytest.mark.parametrize(
    ("modality", "said"),
    [
        ("image", "input units"),
        ("text", "share of the words"),
        ("tabular", "share of each column's range"),
    ],
)
def test_an_axis_says_what_eps_is_measured_in(modality: str, said: str) -> None:
    rows = [{"eps": 0.1, "robust_accuracy": 0.7, "low": 0.6, "high": 0.8, "attack": "a", "norm": "l0"}]
    held: Any = SimpleNamespace(measurements=(), verdicts=(), data=SimpleNamespace(modality=modality))
    ((figure,), _) = figures(
        "robustness.evasion", {("robustness.evasion", "curve"): pl.DataFrame(rows)}, held
    )
    assert f"(L0 norm, {said})" in html.unescape(figure.content.decode())
