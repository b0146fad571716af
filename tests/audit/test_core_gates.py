"""Gates at, below, above and around their threshold; the verdict of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from raiaudit.audit.catalogue import CHECKS
from raiaudit.audit.gates import Gate, Status, Verdict, decide, overall
from raiaudit.audit.judgement import judge
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.plan import PlannedCheck
from raiaudit.audit.spec import Policy
from raiaudit.audit.store import Run

CHECK = "performance.accuracy"
JUST = 1e-9


def measured(
    value: float | None, low: float | None = None, high: float | None = None, **more: Any
) -> Measurement:
    facts: dict[str, Any] = {
        "check": CHECK,
        "metric": "accuracy",
        "n": 100,
        "better": "higher",
        "method": "m",
    }
    facts |= {"reason": "nobody there"} if value is None else {}
    return Measurement(value=value, low=low, high=high, **{**facts, **more})


def status(gate: Gate, *measurements: Measurement) -> str:
    return decide(CHECK, gate, measurements).status


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.5, 0.9, "pass"),  # the bound is inclusive
        (0.5 + JUST, 0.9, "pass"),
        (0.5 - JUST, 0.9, "inconclusive"),
        (0.2, 0.5, "inconclusive"),  # 0.5 itself would pass
        (0.2, 0.5 - JUST, "fail"),
        (0.2, 0.9, "inconclusive"),
    ],
)
def test_min_and_the_mirrored_max(low: float, high: float, expected: str) -> None:
    middle = (low + high) / 2
    assert status(Gate(metric="accuracy", min=0.5), measured(middle, low, high)) == expected
    mirrored = measured(1 - middle, 1 - high, 1 - low)
    assert status(Gate(metric="accuracy", max=0.5), mirrored) == expected


@pytest.mark.parametrize(
    ("value", "cap", "expected"),
    [
        (0.0, 1.0, "inconclusive"),  # nothing could have come out above 1
        (0.0, 1.0 + JUST, "pass"),
        (0.0, None, "pass"),
        (2.0, 3.0, "fail"),
    ],
)
def test_a_gate_that_could_not_have_failed_does_not_pass(
    value: float, cap: float | None, expected: str
) -> None:
    verdict = decide(CHECK, Gate(metric="accuracy", max=1.0), [measured(value, cap=cap)])
    assert verdict.status == expected
    assert ("could have shown" in verdict.explanation) == (expected == "inconclusive")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.8, 1.25, "pass"),
        (0.8 - JUST, 1.25, "inconclusive"),
        (0.8, 1.25 + JUST, "inconclusive"),
        (0.1, 0.8 - JUST, "fail"),
        (1.25 + JUST, 2.0, "fail"),
        (0.1, 2.0, "inconclusive"),
    ],
)
def test_a_band(low: float, high: float, expected: str) -> None:
    assert status(Gate(metric="accuracy", min=0.8, max=1.25), measured(low, low, high)) == expected


@pytest.mark.parametrize(("value", "expected"), [(0.5, "pass"), (0.5 - JUST, "fail"), (0.5 + JUST, "pass")])
def test_a_deterministic_value_is_never_inconclusive(value: float, expected: str) -> None:
    assert status(Gate(metric="accuracy", min=0.5), measured(value)) == expected


def test_an_upper_bound_alone_still_has_a_confidence() -> None:
    gate = Gate(metric="accuracy", max=0.9, confidence=0.99)
    assert status(gate, measured(0.1, None, 0.2, confidence=0.95)) == "inconclusive"
    assert status(gate, measured(0.1, None, 0.2, confidence=0.99)) == "pass"
    assert status(Gate(metric="accuracy", max=0.15), measured(0.1, None, 0.2)) == "inconclusive"


def test_an_interval_of_less_confidence_than_asked_decides_nothing() -> None:
    weak = measured(0.9, 0.8, 0.95, confidence=0.9)
    assert status(Gate(metric="accuracy", min=0.5, confidence=0.9), weak) == "pass"
    verdict = decide(CHECK, Gate(metric="accuracy", min=0.5), [weak])
    assert verdict.status == "inconclusive"
    assert "90%" in verdict.explanation
    assert "95%" in verdict.explanation


def test_undefined_is_inconclusive_and_says_why() -> None:
    verdict = decide(CHECK, Gate(metric="accuracy", min=0.0), [measured(None)])
    assert verdict.status == "inconclusive"
    assert "nobody there" in verdict.explanation


def test_a_missing_measurement_is_not_run_and_lists_what_there_is() -> None:
    others = [measured(1.0, metric="recall", where={"class": "7"}), measured(1.0, check="robustness.evasion")]
    verdict = decide(CHECK, Gate(metric="accuracy", min=0.0), others)
    assert verdict.status == "not_run"
    assert "recall (class=7)" in verdict.explanation
    assert decide(CHECK, Gate(metric="accuracy", min=0.0), []).status == "not_run"


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)])
def test_the_worst_of_several_measurements_decides(order: tuple[int, ...]) -> None:
    groups = [
        measured(0.9, 0.8, 0.95, where={"group": "a"}),
        measured(0.5, 0.3, 0.7, where={"group": "b"}),
        measured(0.2, 0.1, 0.3, where={"group": "c"}),
        measured(None, where={"group": "d"}),
    ]
    shuffled = [groups[i] for i in order]
    verdict = decide(CHECK, Gate(metric="accuracy", min=0.5), shuffled)
    assert (verdict.status, verdict.measurement) == ("fail", groups[2])
    without_c = [group for group in shuffled if group is not groups[2]]
    assert status(Gate(metric="accuracy", min=0.5), *without_c) == "inconclusive"


def test_where_matches_numbers_by_value_and_names_exactly() -> None:
    found = [
        measured(0.9, where={"eps": 8 / 255, "attack": "pgd"}),
        measured(0.1, where={"eps": 9 / 255, "attack": "pgd"}),
        measured(0.2, where={"eps": 8 / 255, "attack": "fgsm"}),
    ]

    def value(where: dict[str, Any]) -> float | None:
        chosen = decide(CHECK, Gate(metric="accuracy", where=where, min=0.5), found).measurement
        return chosen.value if chosen else None

    assert value({"eps": "8/255", "attack": "pgd"}) == 0.9
    assert found[0].label() == "accuracy (eps=0.03137, attack=pgd)"
    assert value({"eps": 0.03137, "attack": "pgd"}) == 0.9  # copied from a label
    assert value({"eps": 0.0314, "attack": "pgd"}) is None
    assert value({"attack": "fgsm"}) == 0.2
    assert value({"attack": "PGD"}) is None
    assert value({"eps": 0.03137, "norm": "l2"}) is None  # a key the measurement lacks


def test_a_class_called_by_a_digit_is_found_by_the_number() -> None:
    digit = measured(0.9, where={"class": "3"})
    assert status(Gate(metric="accuracy", where={"class": 3}, min=0.5), digit) == "pass"
    assert status(Gate(metric="accuracy", where={"class": 4}, min=0.5), digit) == "not_run"


def test_gates_that_can_never_pass_are_refused() -> None:
    with pytest.raises(ValidationError, match="no value can pass"):
        Gate(metric="accuracy", min=0.6, max=0.5)
    with pytest.raises(ValidationError, match="needs"):
        Gate(metric="accuracy")
    assert status(Gate(metric="accuracy", min=0.5, max=0.5), measured(0.5)) == "pass"


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], "inconclusive"),
        (["pass"], "pass"),
        (["pass", "pass"], "pass"),
        (["pass", "not_run"], "not_run"),
        (["not_run", "inconclusive"], "inconclusive"),
        (["error", "inconclusive", "pass"], "error"),
        (["pass", "fail", "error"], "fail"),
    ],
)
def test_overall(statuses: list[Status], expected: str) -> None:
    gate = Gate(metric="accuracy", min=0)
    verdicts = [Verdict(status=s, check=CHECK, gate=gate, measurement=None, explanation="") for s in statuses]
    assert overall(verdicts) == expected
    assert overall(verdicts[::-1]) == expected


# Judging a whole plan

ACCURATE = Gate(metric="accuracy", min=0.5)


def planned(*gates: Gate, reason: str | None = None) -> PlannedCheck:
    check = CHECKS[CHECK]
    return PlannedCheck(check, check.Config(), gates, (), reason)


def judged(tmp_path: Path, plan: PlannedCheck, errors: dict[str, str], policy: Policy) -> list[str]:
    found = judge([plan], [measured(0.9)], errors, policy, Run(tmp_path / "runs" / "x"), data_digest="d")
    return [verdict.status for verdict in found]


def test_policy_decides_what_a_gate_without_an_answer_counts_as(tmp_path: Path) -> None:
    lenient, strict = Policy(), Policy(not_run="fail", error="fail")
    unable, broken = planned(ACCURATE, reason="no gradients"), {CHECK: "boom"}
    assert judged(tmp_path, planned(ACCURATE), {}, strict) == ["pass"]
    assert judged(tmp_path, unable, {}, lenient) == ["not_run"]
    assert judged(tmp_path, unable, {}, strict) == ["fail"]
    assert judged(tmp_path, planned(ACCURATE, ACCURATE), broken, lenient) == ["error", "error"]
    assert judged(tmp_path, planned(ACCURATE), broken, Policy(error="fail")) == ["fail"]
    assert judged(tmp_path, planned(ACCURATE), broken, Policy(not_run="fail")) == ["error"]


def test_an_error_without_a_gate_is_still_a_verdict(tmp_path: Path) -> None:
    assert judged(tmp_path, planned(), {CHECK: "boom"}, Policy()) == ["error"]
    assert judged(tmp_path, planned(), {}, Policy()) == []
    assert judged(tmp_path, planned(reason="no gradients"), {}, Policy()) == []
