"""Every metric that a check can measure has its sentence of plain words, and every sentence its metric.

Which metrics there are is read from the checks' own code: each text that stands where a parameter called
`metric` is filled, and the tables whose names become metrics.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

import raiaudit.audit
from raiaudit.audit.explanations.quality.faithfulness_summary import _ALONE, _COMPARED, _LOCALISATION
from raiaudit.audit.explanations.stability.summary import _METRICS as STABILITY
from raiaudit.audit.fairness.by_group.metrics import DIFFERENCES, MEANS, RATES, RATIOS
from raiaudit.audit.robustness.reliability_flags import FLAGS
from raiaudit.reports.words.catalogues import read_catalogue
from raiaudit.reports.words.metric_words import explained
from raiaudit.reports.words.wording import METRICS as TITLES

AUDIT = Path(raiaudit.audit.__file__).parent


@cache
def _trees() -> list[ast.Module]:
    # Studies and comparisons name what checks measured; they measure nothing of their own.
    checks = ("performance", "robustness", "privacy", "fairness", "explanations", "reliability", "statistics")
    return [ast.parse(path.read_text()) for room in checks for path in sorted((AUDIT / room).rglob("*.py"))]


def _takers() -> dict[str, int]:
    """Functions with a parameter `metric`, and its place among what a caller passes."""
    found = {"Measurement": -1}
    for tree in _trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                names = [arg.arg for arg in node.args.args if arg.arg != "self"]
                if "metric" in names:
                    found[node.name] = names.index("metric")
    return found


def _texts(node: ast.expr) -> set[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    if isinstance(node, ast.IfExp):
        return _texts(node.body) | _texts(node.orelse)
    return set()


# What fills a parameter `metric` that is something else: a class of counterfactual cases, a column.
NO_METRICS = frozenset({"all", "group", "predicted"})
TABLES = (RATES, MEANS, DIFFERENCES, RATIOS, _COMPARED, _ALONE, _LOCALISATION, TITLES)


@cache
def metrics() -> frozenset[str]:
    takers = _takers()
    found = {name for table in TABLES for name in table}
    found |= {flag.name for flag in FLAGS} | {name for name, *_ in STABILITY}
    for tree in _trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in takers:
                place = takers[name]
                if 0 <= place < len(node.args):
                    found |= _texts(node.args[place])
                for keyword in node.keywords:
                    if keyword.arg == "metric":
                        found |= _texts(keyword.value)
    # Counterfactual measurements are named without what they begin with.
    return frozenset(
        f"counterfactual_{name}" if f"counterfactual_{name}" in TITLES else name
        for name in found - NO_METRICS
    )


def test_every_metric_is_explained() -> None:
    names = metrics()
    assert {
        "robust_accuracy",
        "tpr_at_fpr",
        "aopc",
        "zero_gradients",
        "impact_ratio",
        "centre_shift",
    } <= names
    assert [name for name in sorted(names) if not explained(name)] == []


def test_a_sentence_says_what_the_number_is_and_what_it_is_not() -> None:
    for metric in metrics():
        words = explained(metric)
        assert words[0].isupper()
        assert words.endswith(".")
        assert len(words) < 230
        assert "{" not in words


@pytest.mark.parametrize(
    ("metric", "part"),
    [
        ("selection_rate_gap", "selection rate less the reference group's"),
        ("selection_rate_gap_p_value", "this group as far from the reference in selection rate"),
        ("auc_difference", "between two groups in AUC"),
        ("theil_index_between", "part of theil index"),
    ],
)
def test_names_of_a_family_are_explained_from_what_they_stand_on(metric: str, part: str) -> None:
    assert part in explained(metric)


def test_a_plug_ins_metric_is_left_without_words() -> None:
    assert explained("moon_phase") == ""
    assert explained("moon_phase_gap") == ""


def test_no_sentence_is_written_twice_in_the_file() -> None:
    """YAML takes the last of two equal keys in silence."""
    text = (
        Path(raiaudit.audit.__file__).parent.parent / "reports" / "templates" / "metrics.yaml"
    ).read_text()
    lines = [line for line in text.splitlines() if line.startswith("  ") and not line.startswith("  #")]
    keys = [line.split(":")[0] for line in lines]
    assert len(keys) == len(set(keys))
    assert len(keys) == sum(len(part) for part in read_catalogue("metrics.yaml").values())
