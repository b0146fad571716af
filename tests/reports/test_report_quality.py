"""Figures of faithfulness and randomisation, and the verdict beside a map."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from raiaudit.audit.measurement import Measurement
from raiaudit.reports.charts import signed_bars, to_svg
from raiaudit.reports.figures.quality import FIGURES
from raiaudit.reports.words.map_verdicts import map_verdict
from raiaudit.reports.words.map_words import weights_of
from raiaudit.reports.words.wording import in_percent


def gain(value: float | None, low: float | None, high: float | None, **where: str) -> Measurement:
    return Measurement(
        check="explanations.faithfulness",
        metric="faithfulness_gain",
        value=value,
        low=low,
        high=high,
        n=10,
        better="higher",
        where={"method": "saliency", **where},
        method="petsiuk2018",
        reason=None if value is not None else "no maps",
    )


@pytest.mark.parametrize(
    ("limits", "status", "words"),
    [
        ((0.2, 0.1, 0.3), "pass", "beat maps that know nothing"),
        ((0.0, -0.1, 0.1), "inconclusive", "not shown to beat"),
        ((-0.2, -0.3, -0.1), "fail", "do not rely on them"),
        ((0.2, None, None), "inconclusive", "too few examples"),
    ],
)
def test_a_map_that_does_not_beat_its_controls_says_so(
    limits: tuple[Any, Any, Any], status: str, words: str
) -> None:
    over_one_control = gain(0.5, 0.4, 0.6, control="random")  # is not the verdict
    results: Any = SimpleNamespace(measurements=[over_one_control, gain(*limits)])
    found = map_verdict(results, "saliency")
    assert found is not None
    assert found.status == status
    assert words in found.text
    assert bool(found.mark) == (status != "pass")
    assert map_verdict(results, "grad_cam") is None


def test_attribution_judges_where_faithfulness_did_not() -> None:
    deletion = gain(-0.2, -0.3, -0.1).model_copy(
        update={"check": "explanations.attribution", "metric": "deletion_gain"}
    )
    alone = deletion.model_copy(update={"where": {}})  # of a spec with one method
    elsewhere = deletion.model_copy(update={"where": {"group": "a"}})
    for found in (deletion, alone):
        for undefined in ([], [gain(None, None, None)]):
            results: Any = SimpleNamespace(measurements=[elsewhere, found, *undefined])
            verdict = map_verdict(results, "saliency")
            assert verdict is not None
            assert verdict.text.endswith("no better than random rankings: do not rely on them")
    judged: Any = SimpleNamespace(measurements=[deletion, gain(0.2, 0.1, 0.3)])
    verdict = map_verdict(judged, "saliency")
    assert verdict is not None
    assert verdict.status == "pass"


def drawn(check: str, table: str, rows: pl.DataFrame) -> list[Any]:
    (drawing,) = (drawing for drawing in FIGURES[check] if drawing.table == table)
    assert drawing.columns <= set(rows.columns)
    results: Any = SimpleNamespace(measurements=[])
    return list(drawing.draw(rows, results))


def test_gains_are_drawn_by_control_and_told_in_words() -> None:
    rows = pl.DataFrame(
        {
            "method": ["saliency"] * 3,
            "metric": ["deletion_auc", "deletion_auc", "aopc"],
            "control": ["random", "blurred:saliency", "random"],
            "gain": [0.25, -0.01, 9.0],
            "low": [0.2, None, None],
            "high": [0.3, None, None],
        }
    )
    (figure,) = drawn("explanations.faithfulness", "tests", rows)
    assert "saliency against random: 0.250 [0.200, 0.300]" in figure.alt
    assert "9.0" not in figure.alt
    svg = figure.content.decode()
    assert "its own blur" in svg


def test_traces_are_drawn_in_both_directions() -> None:
    rows = pl.DataFrame(
        {
            "map": ["saliency", "saliency", "random", "random"] * 2,
            "first": ["most"] * 4 + ["least"] * 4,
            "removed": [0.0, 1.0] * 4,
            "probability": [0.9, 0.1] * 4,
            "low": [0.8, 0.0] * 4,
            "high": [1.0, 0.2] * 4,
        }
    )
    most, least = drawn("explanations.faithfulness", "traces", rows)
    assert "most relevant first" in most.content.decode()
    assert "saliency: mean 0.500" in least.alt


def test_the_cascade_names_the_known_bad_method() -> None:
    rows = pl.DataFrame(
        {
            "method": ["saliency", "saliency", "guided_backpropagation", "guided_backpropagation"],
            "known_bad": [False, False, True, True],
            "similarity": ["signed"] * 4,
            "stage": [1, 2] * 2,
            "layers": ["1: head", "2: first"] * 2,
            "value": [0.3, 0.05, 0.9, 0.8],
            "low": [0.2, 0.0, 0.8, 0.7],
            "high": [0.4, 0.1, 1.0, 0.9],
            "chance": [0.02] * 4,
        }
    )
    (figure,) = drawn("explanations.randomisation", "cascade", rows)
    assert "saliency: 0.05 when all is random, 0.02 by chance" in figure.alt
    svg = figure.content.decode()
    assert "known bad" in svg
    assert "1: head" in svg
    assert "Known bad: guided backpropagation" in figure.caption
    (alone,) = drawn("explanations.randomisation", "cascade", rows.filter(~pl.col("known_bad")))
    assert "nown bad" not in alone.alt  # texts have none


def test_maps_of_shuffled_labels_are_drawn_beside_those_of_the_right_ones() -> None:
    rows = pl.DataFrame(
        {
            "method": ["integrated_gradients"] * 2 + ["saliency"] * 2,
            "twin": ["shuffled", "retrained"] * 2,
            "value": [-0.19, 0.92, 0.58, 0.91],
            "low": [-0.33, 0.87, 0.52, None],
            "high": [-0.04, 0.96, 0.64, None],
            "learnt": [0.425] * 4,
        }
    )
    (figure,) = drawn("explanations.randomisation", "labels", rows)
    assert "integrated gradients trained on shuffled labels: -0.19 [-0.330, -0.040]" in figure.alt
    assert "saliency trained once more on the right labels: 0.91" in figure.alt
    assert "42% of the shuffled labels were learnt" in figure.caption
    svg = figure.content.decode()
    assert "on shuffled labels" in svg
    assert "once more on the right labels" in svg


def test_correlations_of_maps_are_no_percentages() -> None:
    for metric in ("shuffled_labels_similarity", "retrained_similarity", "randomisation_similarity"):
        assert not in_percent(metric)
    assert in_percent("shuffled_labels_learnt")


def test_the_number_of_a_bar_stands_across_the_zero_line_where_nothing_is_in_its_way() -> None:
    """Not beyond the bar's end, where the longest met the names on the left and the edge on the right."""
    svg = to_svg(signed_bars([("owns_home = yes", -1.0), ("annual income (EUR) = 20602.8", 1.0)]))
    texts = re.findall(r'text-anchor="(\w+)" transform="translate\(([\d.]+),[^>]*>([^<]*)</text>', svg)
    at = {said.replace("\u00a0", " "): (anchor, float(x)) for anchor, x, said in texts}
    zero = at["0%"][1]
    for said, anchor, place in (("−100 %", "start", zero + 4), ("+100 %", "end", zero - 4)):
        assert at[said][0] == anchor
        assert at[said][1] == pytest.approx(place)


def test_features_are_named_as_people_read_them() -> None:
    row = {"features": ["unf", "##lin", " ", "##", "y" * 80], "map": [2.0, -1.0, 0.5, 0.0, 0.0]}
    names = [name for name, _ in weights_of(row)]
    assert names == ["unf", "-lin", "␣", "##", "y" * 60 + "…"]
