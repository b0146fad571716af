"""Charts against their data: one mark a row, log axes where promised, series that differ in shape too."""

import math
import re
from typing import Any

import polars as pl
import pytest

from raiaudit.audit.store import Run
from raiaudit.reports import charts
from raiaudit.reports.figures import figures, read_evidence


def table(run: Run, check: str, name: str) -> pl.DataFrame:
    found = run.evidence(check, name)
    assert found is not None
    return found


def marks(svg: str, kind: str) -> int:
    """Paths of all mark groups of one kind ("symbol", "rect", "line", …)."""
    groups = re.findall(rf'<g class="mark-{kind} role-mark [^>]*>(.*?)</g>', svg, flags=re.DOTALL)
    return sum(len(re.findall(r"<path ", group)) for group in groups)


def titles(chart: Any) -> set[str]:
    """Every axis title in the specification."""
    return set(re.findall(r"'title': '([^']+)'", str(chart.to_dict(validate=False))))


def test_robust_accuracy_has_a_dot_for_every_row_and_a_band(finished_run: Run) -> None:
    data = table(finished_run, "robustness.evasion", "curve")
    chart = charts.accuracy_against_eps(data, norm="linf", threshold=(0.15, 0.9))
    svg = charts.to_svg(chart)
    assert marks(svg, "symbol") == data.height
    assert marks(svg, "area") == data["attack"].n_unique()
    assert marks(svg, "line") == data["attack"].n_unique()
    assert ">gate<" in svg
    assert any("L∞" in title for title in titles(chart))


def test_series_differ_in_shape_and_dash_as_well_as_colour(finished_run: Run) -> None:
    svg = charts.to_svg(charts.accuracy_against_eps(table(finished_run, "robustness.evasion", "curve")))
    symbols = re.findall(r'<g class="mark-symbol role-mark .*?</g>', svg, flags=re.DOTALL)[0]
    outlines = {re.sub(r"[\d.,-]+", "", path) for path in re.findall(r' d="([^"]+)"', symbols)}
    assert len(outlines) == 2
    assert "stroke-dasharray" in svg


def test_severity_table_has_a_coloured_number_for_every_row(finished_run: Run) -> None:
    data = table(finished_run, "robustness.corruption", "curve")
    svg = charts.to_svg(charts.accuracy_against_severity(data))
    assert marks(svg, "rect") == data.height
    assert all(f">{share:.0%}<" in svg for share in data["accuracy"])
    assert ">gaussian noise<" in svg


def test_corruptions_of_a_kind_stand_together_and_dark_is_lost() -> None:
    rows = [
        {"corruption": name, "category": kind, "severity": 1, "accuracy": share, "clean_accuracy": 0.98}
        for name, kind, share in (
            ("snow", "weather", 0.95),
            ("fog", "weather", 0.05),
            ("pixelate", "digital", 0.5),
        )
    ]
    chart = charts.accuracy_against_severity(pl.DataFrame(rows))
    order = chart.to_dict(validate=False)["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert [name.strip() for name in order] == ["snow", "fog", "", "pixelate"]
    svg = charts.to_svg(chart)
    assert ">weather<" in svg
    assert ">digital<" in svg
    assert "clean 98%" in svg
    group = re.findall(r'<g class="mark-rect role-mark .*?</g>', svg, flags=re.DOTALL)[0]
    light = [sum(map(int, rgb)) for rgb in re.findall(r'fill="rgb\((\d+), (\d+), (\d+)\)"', group)]
    assert light[0] > light[2] > light[1]


def test_membership_roc_has_log_axes_and_a_chance_line(finished_run: Run) -> None:
    data = table(finished_run, "privacy.membership", "roc")
    spec = charts.membership_roc(data).to_dict(validate=False)
    scales = re.findall(r"'scale': (\{[^}]*\})", str(spec["layer"]))
    positional = [scale for scale in scales if "log" in scale]
    assert len(positional) >= 2
    svg = charts.to_svg(charts.membership_roc(data))
    shown = data.filter((pl.col("fpr") > 0) & (pl.col("tpr") > 0))
    assert marks(svg, "symbol") == shown.height
    assert marks(svg, "line") == data["attack"].n_unique() + 1
    assert ">chance<" in svg


def test_equal_distances_on_the_roc_are_equal_ratios() -> None:
    rates = pl.DataFrame({"fpr": [0.001, 0.01, 0.1], "tpr": [0.001, 0.01, 0.1], "attack": ["a"] * 3})
    svg = charts.to_svg(charts.membership_roc(rates))
    group = re.findall(r'<g class="mark-symbol role-mark .*?</g>', svg, flags=re.DOTALL)[0]
    xs = [float(x) for x in re.findall(r'transform="translate\(([\d.]+),', group)]
    assert len(xs) == 3
    assert math.isclose(xs[1] - xs[0], xs[2] - xs[1], rel_tol=1e-3)


def test_histogram_has_a_bar_for_every_bin(finished_run: Run) -> None:
    data = table(finished_run, "privacy.membership", "histogram")
    svg = charts.to_svg(charts.score_histogram(data))
    assert marks(svg, "rect") == data.height
    assert "non-member" in svg


def test_group_without_a_value_keeps_its_line(finished_run: Run) -> None:
    rows = table(finished_run, "fairness.groups", "by_group").filter(metric="true_positive_rate")
    svg = charts.to_svg(charts.group_intervals(rows, title="TPR"))
    assert rows["value"].null_count() == 1
    assert svg.count("not defined") >= 1
    for group in rows["group"]:
        assert f"stroke = {group}" in svg


def test_gaps_are_full_where_zero_lies_outside() -> None:
    rows = pl.DataFrame(
        {
            "attribute": ["sex", "sex"],
            "group": ["f", "x"],
            "reference": ["m", "m"],
            "value": [-0.2, 0.1],
            "low": [-0.3, -0.1],
            "high": [-0.1, 0.3],
            "n": [90, 40],
        }
    )
    chart = charts.group_gaps(rows, title="TPR, gap")
    svg = charts.to_svg(chart)
    assert "sex: f" in svg
    assert "TPR, gap" in svg
    assert svg.count('fill="white"') == 1 + charts.to_svg(charts.group_gaps(rows[:1], title="")).count(
        'fill="white"'
    )


def test_group_table_has_one_row_a_group(finished_run: Run) -> None:
    wide = charts.group_table(table(finished_run, "fairness.groups", "by_group"))
    assert wide.columns == ["attribute", "group", "n", "selection_rate", "true_positive_rate"]
    assert wide["group"].to_list() == ["light", "heavy"]
    assert wide["selection_rate"].to_list() == pytest.approx([0.5, 0.54])


def test_reliability_leaves_empty_bins_out(finished_run: Run) -> None:
    data = table(finished_run, "reliability.calibration", "bins")
    assert data.filter(pl.col("n") == 0).height == 1
    svg = charts.to_svg(charts.reliability_diagram(data))
    assert marks(svg, "symbol") == data.height - 1


def test_deletion_curve_compares_with_random(finished_run: Run) -> None:
    data = table(finished_run, "explanations.attribution", "curve")
    svg = charts.to_svg(charts.deletion_curve(data))
    assert marks(svg, "symbol") == 2 * data.height
    assert "integrated gradients" in svg
    assert "random" in svg


def test_names_cannot_break_the_svg() -> None:
    import xml.etree.ElementTree as ET

    data = pl.DataFrame(
        {"eps": [0.1, 0.1], "robust_accuracy": [0.5, 0.6], "attack": ["</text><script>", "a&b"]}
    )
    root = ET.fromstring(charts.to_svg(charts.accuracy_against_eps(data)))
    assert not [element for element in root.iter() if element.tag.endswith("script")]
    texts = {element.text for element in root.iter() if element.tag.endswith("text")}
    assert {"</text><script>", "a&b"} <= texts


def test_every_chart_of_a_run_has_words_for_who_cannot_see_it(finished_run: Run) -> None:
    results = finished_run.results
    checks = [outcome.check for outcome in results.checks]
    evidence = read_evidence(finished_run, checks)
    drawn = [figure for check in checks for figure in figures(check, evidence, results)[0]]
    assert {figure.kind for figure in drawn} == {"svg", "png"}
    assert all(len(figure.alt) > len(figure.caption) for figure in drawn)
    curve = next(figure for figure in drawn if "budget" in figure.caption)
    assert "0.15: 0.836" in curve.alt


def test_equal_tables_give_equal_bytes(finished_run: Run) -> None:
    def draw() -> str:
        data = table(finished_run, "explanations.attribution", "curve")
        return charts.to_svg(charts.deletion_curve(data))

    assert draw() == draw()
