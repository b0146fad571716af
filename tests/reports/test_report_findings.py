"""Findings: what speaks against a run in order of severity; remedies chosen by rule from the catalogue."""

import re
from collections import Counter
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from raiaudit.audit.catalogue import CHECKS
from raiaudit.audit.gates import Baseline, Gate, Verdict, decide
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.results import CheckOutcome, Results
from raiaudit.audit.store import Run
from raiaudit.audit.waivers import Waiver
from raiaudit.models.recipe import Recipe
from raiaudit.reports.content.findings import Finding, findings
from raiaudit.reports.content.remedies import error_remedy, flag_rules, remedy
from raiaudit.reports.words.catalogues import read_catalogue

MakeRun = Callable[..., Run]
DAY = date(2026, 11, 20)
EVASION = "robustness.evasion"


def measured(check: str, metric: str, low: float | None, high: float | None, **more: Any) -> Measurement:
    value = None if low is None or high is None else (low + high) / 2
    given: dict[str, Any] = {"n": 100, "better": "higher", "method": "wilson1927"}
    return Measurement(check=check, metric=metric, value=value, low=low, high=high, **(given | more))


def results_of(
    make_run: MakeRun, *gated: tuple[Gate, Measurement], others: tuple[Measurement, ...] = ()
) -> Results:
    """Results in which each gate was decided on its measurement."""
    verdicts = tuple(decide(m.check, gate, [m]) for gate, m in gated)
    checks = dict.fromkeys(m.check for m in (*(m for _, m in gated), *others))
    outcomes = tuple(CheckOutcome(check=check, question="?", status="ran") for check in checks)
    measurements = (*(m for _, m in gated), *others)
    run = make_run(
        evidence=False, verdicts=verdicts, measurements=measurements, checks=outcomes, folder=f"r{len(gated)}"
    )
    return run.results


def test_severity_orders_and_distance_orders_failures(make_run: MakeRun) -> None:
    gate = Gate(metric="accuracy", min=0.8)
    found = findings(
        results_of(
            make_run,
            (gate, measured("performance.accuracy", "accuracy", 0.75, 0.85)),  # spans
            (Gate(metric="robust_accuracy", min=0.8), measured(EVASION, "robust_accuracy", 0.6, 0.7)),
            (Gate(metric="ece", max=0.1), measured("reliability.calibration", "ece", 0.3, 0.4)),
            others=(measured("privacy.canaries", "epsilon_margin", -3.0, -1.0),),
        ),
        DAY,
    )
    # The calibration error is 200 % above its threshold, the robust accuracy 12.5 % below.
    assert [(each.status, each.check) for each in found] == [
        ("fail", "reliability.calibration"),
        ("fail", EVASION),
        ("flagged", "privacy.canaries"),
        ("inconclusive", "performance.accuracy"),
    ]
    assert found[0].miss == pytest.approx(2.0)
    assert found[1].miss == pytest.approx(0.125)


def test_every_gate_that_did_not_pass_is_a_finding_and_no_other(finished_run: Run) -> None:
    results = finished_run.results
    found = findings(results, DAY)
    not_passed = Counter((v.check, v.status) for v in results.verdicts if v.status != "pass")
    assert Counter((each.check, each.status) for each in found if each.status != "flagged") == not_passed
    assert all(each.means for each in found)


def test_a_failing_metric_gets_its_own_remedy_before_its_checks(make_run: MakeRun) -> None:
    auc = Gate(metric="membership_auc", max=0.55), measured("privacy.membership", "membership_auc", 0.7, 0.8)
    tpr = Gate(metric="tpr_at_fpr", max=0.01), measured("privacy.membership", "tpr_at_fpr", 0.2, 0.3)
    by_metric = {each.title: each for each in findings(results_of(make_run, auc, tpr), DAY)}
    rate, area = by_metric["TPR at fixed FPR"], by_metric["Membership attack AUC"]
    assert rate.means != area.means
    assert any("privacy.at_risk" in step for step in rate.steps)
    assert area.steps == remedy("privacy.membership").next


def first(make_run: MakeRun, gate: Gate, m: Measurement) -> Finding:
    return findings(results_of(make_run, (gate, m)), DAY)[0]


def test_gates_on_one_metric_that_ended_alike_are_one_finding(make_run: MakeRun) -> None:
    radii = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3]
    gated = [
        (
            Gate(metric="robust_accuracy", where={"eps": eps}, min=0.9),
            measured(EVASION, "robust_accuracy", 0.7 - eps, 0.8 - eps, where={"eps": eps}),
        )
        for eps in radii
    ]
    (found,) = findings(results_of(make_run, *gated), DAY)
    assert found.title == "Robust accuracy (6 gates)"
    assert found.measured.startswith("ε = 0.3: 45.0 % [40.0, 50.0]; ε = 0.25: ")  # the worst first
    assert found.measured.endswith("and 2 more, see Verdict by gate")
    assert found.threshold == "≥ 90.0 %"


def test_open_gates_are_told_by_why_they_are_open(make_run: MakeRun) -> None:
    gate = Gate(metric="accuracy", min=0.8)
    spans = first(make_run, gate, measured("performance.accuracy", "accuracy", 0.7, 0.9))
    assert "neither a pass nor a failure" in spans.means
    assert spans.steps == (remedy("performance.accuracy").undecided,)


def test_an_undefined_quantity_is_told_as_such(make_run: MakeRun) -> None:
    undefined = measured("performance.accuracy", "accuracy", None, None, reason="no labels")
    assert "not defined" in first(make_run, Gate(metric="accuracy", min=0.8), undefined).means


def test_a_narrower_confidence_asks_for_the_gates(make_run: MakeRun) -> None:
    found = first(
        make_run,
        Gate(metric="accuracy", min=0.5, confidence=0.99),
        measured("performance.accuracy", "accuracy", 0.7, 0.9),
    )
    assert found.means == "The interval holds with 95% where the gate asks for 99%."
    assert found.steps == ("Set `confidence` of the check to 0.99, or ask the gate for less.",)


def test_a_doubted_pass_gets_the_remedy_of_what_doubts_it(make_run: MakeRun) -> None:
    doubt = measured(
        "robustness.reliability", "flags_raised", 2.0, 2.0, reason="Zero gradients", doubts=("robust",)
    )
    passing = measured(EVASION, "robust_accuracy", 0.9, 0.95)
    verdict = Verdict(
        status="inconclusive", check=EVASION, gate=Gate(metric="robust_accuracy", min=0.5),
        measurement=passing, explanation="clears, but is not to be trusted: Zero gradients",
    )  # fmt: skip
    run = make_run(evidence=False, verdicts=(verdict,), measurements=(passing, doubt))
    flagged, doubted = findings(run.results, DAY)
    assert "cannot be relied on" in doubted.means
    assert doubted.steps == remedy("robustness.reliability").next
    assert (flagged.status, flagged.told) == ("flagged", "Zero gradients")


def test_falling_behind_a_baseline_is_not_told_as_a_missed_threshold(make_run: MakeRun) -> None:
    passing = measured("performance.accuracy", "accuracy", 0.9, 0.95)
    gate = Gate(metric="accuracy", min=0.5, vs_baseline=Baseline(run="old", max_drop=0.01))
    verdict = Verdict(
        status="fail", check=passing.check, gate=gate, measurement=passing, explanation="dropped"
    )
    run = make_run(evidence=False, verdicts=(verdict,), measurements=(passing,))
    (found,) = findings(run.results, DAY)
    assert found.means.startswith("The model falls behind old")
    assert found.steps[0].startswith(f"`raiaudit compare old {run.id}`")


def test_a_flag_is_not_raised_for_what_a_gate_has_said(make_run: MakeRun) -> None:
    grave = measured("privacy.membership", "membership_auc", 0.7, 0.8)
    gated = findings(results_of(make_run, (Gate(metric="membership_auc", max=0.6), grave)), DAY)
    assert [each.status for each in gated] == ["fail"]
    free = findings(results_of(make_run, others=(grave,)), DAY)
    assert [(each.status, each.threshold) for each in free] == [("flagged", "flagged above 0.6")]


def test_what_a_gate_told_of_one_slice_is_not_told_again_of_others(make_run: MakeRun) -> None:
    gated = measured("fairness.subgroups", "confirmed_subgroups", 1.0, 1.0, where={"rate": "accuracy"})
    other = measured("fairness.subgroups", "confirmed_subgroups", 3.0, 3.0, where={"rate": "precision"})
    gate = Gate(metric="confirmed_subgroups", where={"rate": "accuracy"}, max=0)
    failed, flagged = findings(results_of(make_run, (gate, gated), others=(other,)), DAY)
    assert failed.steps
    assert (flagged.status, flagged.steps) == ("flagged", ())
    assert "precision" in flagged.measured
    assert "accuracy" not in flagged.measured


def test_a_flag_needs_the_interval_not_the_value(make_run: MakeRun) -> None:
    unsure = measured("privacy.membership", "membership_auc", 0.55, 0.75)
    assert findings(results_of(make_run, others=(unsure,)), DAY) == []


def test_a_waived_failure_comes_after_one_nobody_answers_for(make_run: MakeRun) -> None:
    bad = measured("performance.accuracy", "accuracy", 0.1, 0.2)
    less = measured(EVASION, "robust_accuracy", 0.6, 0.7)
    results = results_of(
        make_run, (Gate(metric="accuracy", min=0.8), bad), (Gate(metric="robust_accuracy", min=0.8), less)
    )
    waiver = Waiver(
        check=bad.check, metric="accuracy", owner="a@b.example", reason="soon", expires=date(2027, 1, 1)
    )
    first = results.verdicts[0].model_copy(update={"waiver": waiver})
    found = findings(results.model_copy(update={"verdicts": (first, results.verdicts[1])}), DAY)
    assert [each.check for each in found] == [EVASION, "performance.accuracy"]
    assert found[1].waiver == "waived by a@b.example until 2027-01-01: soon"


def test_errors_are_told_by_what_stopped_the_check() -> None:
    assert "memory" in error_remedy("MemoryError: cannot allocate").lower()
    assert "journal.jsonl" in error_remedy("KeyError: 'x'")


# The catalogue itself


def test_every_check_has_a_remedy_and_no_other_is_named() -> None:
    assert set(read_catalogue("remedies.yaml")["checks"]) == set(CHECKS)
    for check in CHECKS:
        known = remedy(check)
        assert known.means
        assert known.next
        assert known.undecided
        assert known.missing


def test_no_two_checks_share_a_text() -> None:
    texts: list[str] = []
    for entry in read_catalogue("remedies.yaml")["checks"].values():
        for told in (entry, *entry.get("metrics", {}).values()):
            texts += [text for key in ("means", "undecided", "missing") if (text := told.get(key))]
            texts += told.get("next", [])
    assert [text for text, count in Counter(texts).items() if count > 1] == []


def test_names_between_backticks_exist() -> None:
    """A remedy that names an option which is gone would send people looking for it."""
    options = {name for check in CHECKS.values() for name in check.Config.model_fields}
    other = {*CHECKS, *Recipe.model_fields, *CHECKS[EVASION].Config.model_fields, "device", "autoattack"}
    commands = {"raiaudit mitigate"}
    text = (read_catalogue("remedies.yaml")["checks"], read_catalogue("remedies.yaml")["errors"])
    named = set(re.findall(r"`([^`]+)`", str(text)))
    assert named - options - other - commands == set()


def test_flag_rules_name_checks_that_exist() -> None:
    for rule in flag_rules():
        assert rule.check in CHECKS or (rule.check == "*" and rule.doubts)
        assert rule.doubts or sum(bound is not None for _, bound in rule.bounds()) == 1
