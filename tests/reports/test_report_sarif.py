"""SARIF against the official schema, and what the schema cannot say: lines, suppressions, identities."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema
import pytest

from raiaudit.audit.gates import Gate, Verdict
from raiaudit.audit.gating import attach
from raiaudit.audit.store import Run
from raiaudit.audit.waivers import Waiver
from raiaudit.reports.formats.sarif import to_sarif

MakeRun = Callable[..., Run]
DAY = date(2026, 11, 20)  # of the run in conftest
WAIVER = Waiver(
    check="robustness.evasion",
    metric="robust_accuracy",
    owner="r.ait",
    reason="adversarial training lands in March",
    expires=DAY,
    issue="RAI-12",
)
HOSTILE = "<script>{0} [click](javascript:alert(1)) =cmd() ../../x \x1b[31m\u202egpj"


@cache
def validator() -> Any:
    schema = json.loads((Path(__file__).parent / "schemas" / "sarif-schema-2.1.0.json").read_text())
    return jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker())


def sarif(*runs: Run, day: date | None = None) -> dict[str, Any]:
    """The one run of the document, which is valid."""
    document = json.loads(to_sarif(runs, day))
    assert [error.message for error in validator().iter_errors(document)] == []
    (run,) = document["runs"]
    assert isinstance(run, dict)
    return run


def by_check(run: dict[str, Any]) -> dict[str, Any]:
    return {result["ruleId"].partition("/")[0]: result for result in run["results"]}


def waived(make_run: MakeRun, *waivers: Waiver, **more: Any) -> Run:
    results = attach(make_run(folder="first").results, waivers, model="digits-cnn")
    return make_run(verdicts=results.verdicts, idle_waivers=results.idle_waivers, **more)


def test_the_schema_would_notice(finished_run: Run) -> None:
    document = json.loads(to_sarif([finished_run]))
    document["runs"][0]["results"][0]["level"] = "fatal"
    assert not validator().is_valid(document)


def test_every_gate_that_did_not_pass_is_a_result_of_its_level(finished_run: Run) -> None:
    found = by_check(sarif(finished_run))
    assert {check: result["level"] for check, result in found.items()} == {
        "robustness.evasion": "error",
        "acme.drift": "error",
        "fairness.groups": "warning",
        "privacy.accounting": "note",
    }
    assert found["robustness.evasion"]["ruleId"] == "robustness.evasion/robust_accuracy"


def test_every_result_has_its_rule_with_question_and_citation(finished_run: Run) -> None:
    run = sarif(finished_run)
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules) == 4
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    evasion = next(rule for rule in rules if rule["id"].startswith("robustness"))
    assert evasion["fullDescription"]["text"].startswith("How often does the model stay right")
    assert "doi:10.1080/01621459.1927.10502953" in evasion["help"]["text"]  # Wilson


def test_a_waived_gate_is_suppressed_until_its_day_has_passed(make_run: MakeRun) -> None:
    run = waived(make_run, WAIVER)
    result = by_check(sarif(run))["robustness.evasion"]
    assert result["suppressions"] == [
        {
            "kind": "external",
            "status": "accepted",
            "justification": WAIVER.reason,
            "properties": {"owner": "r.ait", "expires": "2026-11-20", "issue": "RAI-12"},
        }
    ]
    assert result["level"] == "error"
    assert "suppressions" not in by_check(sarif(run))["fairness.groups"]
    late = by_check(sarif(run, day=date(2026, 11, 21)))["robustness.evasion"]
    assert "suppressions" not in late
    assert "WAIVER EXPIRED on 2026-11-20" in late["message"]["text"]


def test_what_is_no_gates_fault_is_a_notification(make_run: MakeRun) -> None:
    idle = waived(make_run, WAIVER.model_copy(update={"metric": "robust_acuracy"}))
    (notice,) = sarif(idle)["invocations"][0]["toolConfigurationNotifications"]
    assert "robust_acuracy" in notice["message"]["text"]
    nothing = make_run(folder="b", verdicts=(), verdict="inconclusive")
    (notice,) = sarif(nothing)["invocations"][0]["toolConfigurationNotifications"]
    assert "nothing was decided" in notice["message"]["text"]
    header = nothing.header.model_copy(update={"status": "failed", "error": "the disk is full"})
    nothing.write_header(header)
    invocation = sarif(nothing)["invocations"][0]
    assert invocation["executionSuccessful"] is False
    assert "the disk is full" in invocation["toolExecutionNotifications"][0]["message"]["text"]


# Identity


def fingerprints(*runs: Run) -> list[str]:
    return [result["partialFingerprints"]["raiauditGate/v1"] for result in sarif(*runs)["results"]]


def test_an_alert_keeps_its_identity_when_numbers_and_thresholds_change(make_run: MakeRun) -> None:
    first = make_run()
    gate = Gate(metric="robust_accuracy", where={"eps": 0.15}, min=0.7)
    other = Verdict(
        status="fail", check="robustness.evasion", gate=gate, measurement=None, explanation="worse"
    )
    assert fingerprints(make_run(folder="b", verdicts=(other,)))[0] in fingerprints(first)


def test_two_models_two_slices_and_two_gates_are_different_alerts(make_run: MakeRun) -> None:
    def verdict(eps: float, least: float) -> Verdict:
        gate = Gate(metric="robust_accuracy", where={"eps": eps}, min=least)
        return Verdict(status="fail", check="robustness.evasion", gate=gate, measurement=None, explanation="")

    verdicts = (verdict(0.1, 0.5), verdict(0.1, 0.6), verdict(0.2, 0.5))
    runs = [
        make_run(folder=name, model=name, verdicts=verdicts, run=name).folder.rename(
            make_run(folder=f"x{name}").folder.parent / name
        )
        for name in ("a", "b")
    ]
    for folder, name in zip(runs, ("a", "b"), strict=True):
        run = Run(folder)
        run.write_header(run.header.model_copy(update={"id": name}))
    prints = fingerprints(*(Run(folder) for folder in runs))
    assert len(set(prints)) == len(prints) == 6
    lines = {r["partialFingerprints"]["primaryLocationLineHash"] for r in sarif(*map(Run, runs))["results"]}
    assert len(lines) == 6


def test_the_category_does_not_change_with_the_spec(finished_run: Run) -> None:
    categories = []
    for suite in ("digits-0123456789", "digits-abcdef0123"):
        finished_run.write_header(finished_run.header.model_copy(update={"suite": suite}))
        identity = sarif(finished_run)["automationDetails"]["id"]
        categories.append(identity.rpartition("/")[0])  # what GitHub takes for the category
    assert categories == ["raiaudit/digits"] * 2


# Lines

SPEC = """\
# A comment that moves everything down.
data: {name: digits}
checks:
  - use: fairness.groups
    gate:
      - {metric: impact_ratio, min: 0.5}
      - metric: impact_ratio
        min: 0.8
  - use: robustness.evasion
    gate: {metric: robust_accuracy, where: {eps: 15/100}, min: 0.9}
  - use: acme.drift
"""


def place(result: dict[str, Any]) -> tuple[str, int]:
    (location,) = result["locations"]
    physical = location["physicalLocation"]
    assert physical["artifactLocation"]["uriBaseId"] == "%SRCROOT%"
    return unquote(physical["artifactLocation"]["uri"]), physical["region"]["startLine"]


def in_repository(run: Run, tmp_path: Path, name: str, text: str) -> Path:
    (tmp_path / "repo" / ".git").mkdir(parents=True)
    spec = tmp_path / "repo" / name
    spec.parent.mkdir(parents=True, exist_ok=True)
    spec.write_text(text)
    run.write_header(run.header.model_copy(update={"spec_path": str(spec)}))
    return spec


def test_results_point_at_the_line_of_their_gate(finished_run: Run, tmp_path: Path) -> None:
    in_repository(finished_run, tmp_path, "audits/my spec.yaml", SPEC)
    found = by_check(sarif(finished_run))
    assert place(found["fairness.groups"]) == ("audits/my spec.yaml", 7)
    assert place(found["robustness.evasion"]) == ("audits/my spec.yaml", 10)


@pytest.mark.parametrize(
    "text", [SPEC.replace("15/100", "0.2"), "checks: [1, {use: []}]", "- a list", "!", "\xff"]
)
def test_a_spec_without_this_gate_is_not_pointed_at(finished_run: Run, tmp_path: Path, text: str) -> None:
    lock = "kind: Audit\nchecks:\n- use: robustness.evasion\n  gate:\n"
    lock += "  - {metric: robust_accuracy, where: {eps: 0.15}, min: 0.9}\n"
    (finished_run.folder / "spec.lock.yaml").write_text(lock)
    in_repository(finished_run, tmp_path, "audit.yaml", text)
    assert place(by_check(sarif(finished_run))["robustness.evasion"]) == ("spec.lock.yaml", 5)


def test_no_path_of_this_machine_is_told(finished_run: Run, tmp_path: Path) -> None:
    in_repository(finished_run, tmp_path, "audit.yaml", SPEC)
    assert str(tmp_path) not in to_sarif([finished_run])
    finished_run.write_header(finished_run.header.model_copy(update={"spec_path": "/nowhere/audit.yaml"}))
    assert "nowhere" not in to_sarif([finished_run])


# Names from outside


def strings(node: Any) -> list[str]:
    """Every string of the document but the identities, which nobody renders."""
    if isinstance(node, dict):
        return [text for key, item in node.items() if key not in ("id", "ruleId") for text in strings(item)]
    if isinstance(node, list):
        return [text for item in node for text in strings(item)]
    return [node] if isinstance(node, str) else []


def test_hostile_names_are_text(make_run: MakeRun, tmp_path: Path) -> None:
    waiver = WAIVER.model_copy(
        update={"owner": HOSTILE, "reason": (HOSTILE * 200)[:2000], "issue": "javascript:alert(1)"}
    )
    gate = Gate(metric=HOSTILE, where={HOSTILE: HOSTILE}, min=0.5)
    broken = Verdict(status="fail", check=HOSTILE, gate=gate, measurement=None, explanation=HOSTILE * 500)
    run = make_run(model=HOSTILE, verdicts=(broken, broken.model_copy(update={"waiver": waiver})))
    in_repository(run, tmp_path, "[x](javascript:1) <b>.yaml", "{}")
    document = sarif(run)
    for text in strings(document):
        assert text.isprintable() or text.count("\n\n")
        assert "](" not in text
        assert len(text) <= 4200  # 4,000 characters, and braces doubled
    messages = [result["message"]["text"] for result in document["results"]]
    assert all(not re.search(r"(?<!\{)\{(?!\{)", text) for text in messages)
    assert "{{0}}" in messages[0]
    for rule in document["tool"]["driver"]["rules"]:
        assert "<script>" not in rule["help"]["markdown"]
        assert len(rule["id"]) <= 255
