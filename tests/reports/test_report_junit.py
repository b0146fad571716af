"""JUnit parsed back: the right element for every status, real seconds, names XML can hold."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import date
from typing import Any

from raiaudit.audit.gates import Gate, Verdict
from raiaudit.audit.gating import attach
from raiaudit.audit.store import Run
from raiaudit.audit.waivers import Waiver
from raiaudit.reports.formats.junit import to_junit

MakeRun = Callable[..., Run]


def cases(root: ET.Element) -> dict[str, ET.Element]:
    return {str(case.get("classname")): case for case in root.iter("testcase")}


def outcome(case: ET.Element) -> tuple[str, str | None] | None:
    child = next(iter(case), None)
    return None if child is None else (child.tag, child.get("type"))


def test_each_status_has_its_element(finished_run: Run) -> None:
    found = cases(ET.fromstring(to_junit([finished_run])))
    assert outcome(found["performance.accuracy"]) is None
    assert outcome(found["robustness.evasion"]) == ("failure", "fail")
    assert outcome(found["fairness.groups"]) == ("error", "inconclusive")
    assert outcome(found["acme.drift"]) == ("error", "error")
    assert outcome(found["privacy.accounting"]) == ("skipped", None)


def test_a_check_without_a_gate_is_not_green(finished_run: Run) -> None:
    found = cases(ET.fromstring(to_junit([finished_run])))
    assert outcome(found["reliability.calibration"]) == ("skipped", None)


def test_counts_add_up(make_run: MakeRun) -> None:
    root = ET.fromstring(to_junit([make_run(folder="a"), make_run(folder="b")]))
    every = list(root.iter("testcase"))
    assert int(root.attrib["tests"]) == len(every) == 2 * 9
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        number = len(list(root.iter(tag)))
        assert int(root.get(attribute, number)) == number
        assert sum(int(suite.attrib[attribute]) for suite in root) == number


def test_time_is_seconds_from_the_journal_and_counted_once(make_run: MakeRun) -> None:
    twice = make_run()
    verdicts = [*twice.results.verdicts]
    gate = Gate(metric="robust_accuracy", where={"eps": 0.05}, min=0.1)
    verdicts.append(
        Verdict(status="pass", check="robustness.evasion", gate=gate, measurement=None, explanation="")
    )
    run = make_run(folder="b", verdicts=tuple(verdicts))
    root = ET.fromstring(to_junit([run]))
    times = [
        float(c.attrib["time"]) for c in root.iter("testcase") if c.get("classname") == "robustness.evasion"
    ]
    assert times == [6.0, 0.0]  # 3.25 + 2.5 + 0.25 s in the journal
    assert float(root.attrib["time"]) == 6.5


def test_control_characters_and_markup_survive_as_text(make_run: MakeRun) -> None:
    name = "a\x00b\x1b[31m<x>&\"'\ud800"
    verdict = Verdict(
        status="fail", check="acme.drift", gate=None, measurement=None, explanation="\x07 ]]> <b>"
    )
    run = make_run(verdicts=(verdict,))
    header = run.header.model_copy(update={"model": name.replace("\ud800", "")})
    run.write_header(header)
    root = ET.fromstring(to_junit([run]).encode())
    assert root[0].attrib["name"] == "a[U+0000]b[U+001B][31m<x>&\"'"
    assert cases(root)["acme.drift"][0].attrib["message"] == "[U+0007] ]]> <b>"


def test_an_unfinished_run_is_an_error(finished_run: Run) -> None:
    changed: dict[str, Any] = {"status": "failed", "error": "the disk is full"}
    finished_run.write_header(finished_run.header.model_copy(update=changed))
    root = ET.fromstring(to_junit([finished_run]))
    assert [outcome(case) for case in root.iter("testcase")] == [("error", "error")]
    assert next(root.iter("error")).attrib["message"] == "the disk is full"


def test_no_gate_at_all_is_an_error(make_run: MakeRun) -> None:
    root = ET.fromstring(to_junit([make_run(verdicts=(), verdict="inconclusive")]))
    assert outcome(cases(root)["raiaudit"]) == ("error", "inconclusive")


def test_partial_is_said(make_run: MakeRun) -> None:
    root = ET.fromstring(to_junit([make_run(partial=True)]))
    assert root[0].attrib["name"].endswith("PARTIAL")


# What Jenkins' junit-10.xsd (xunit-plugin) allows: element → (attributes, those it must have, children)
SUREFIRE_TIME = re.compile(r"(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]*)?")
COUNTS = {"name", "tests", "failures", "errors"}
OUTCOMES = {"skipped", "error", "failure"}
JENKINS: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": (COUNTS | {"time"}, set(), {"testsuite"}),
    "testsuite": (
        COUNTS | {"group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url"},
        COUNTS,
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, {"name", "value"}, set()),
    "testcase": ({"name", "time", "classname", "group"}, {"name"}, OUTCOMES | {"system-out", "system-err"}),
    **{tag: ({"type", "message"}, set(), set()) for tag in OUTCOMES},
}


def complaints(root: ET.Element) -> list[str]:
    found = []
    for element in root.iter():
        allowed, needed, children = JENKINS[element.tag]
        found += [f"{element.tag}@{name}" for name in set(element.attrib) - allowed]
        found += [f"{element.tag} without {name}" for name in needed - set(element.attrib)]
        found += [f"{child.tag} in {element.tag}" for child in element if child.tag not in children]
        if element.tag in ("testsuite", "testsuites") and not SUREFIRE_TIME.fullmatch(element.attrib["time"]):
            found.append(element.attrib["time"])
    return found


def test_jenkins_schema_holds(make_run: MakeRun) -> None:
    unfinished = make_run(folder="c")
    unfinished.write_header(unfinished.header.model_copy(update={"status": "failed"}))
    root = ET.fromstring(to_junit([make_run(partial=True), make_run(folder="b", verdicts=()), unfinished]))
    assert complaints(root) == []
    root.set("skipped", "1")
    assert complaints(root) == ["testsuites@skipped"]


WAIVER = Waiver(
    check="robustness.evasion",
    metric="robust_accuracy",
    owner="r.ait",
    reason="lands in <March>",
    expires=date(2026, 11, 20),
)


def test_a_waived_gate_is_skipped_with_its_terms_until_they_end(make_run: MakeRun) -> None:
    verdicts = attach(make_run(folder="a").results, [WAIVER], model="digits-cnn").verdicts
    run = make_run(verdicts=verdicts)
    root = ET.fromstring(to_junit([run]))
    case = cases(root)["robustness.evasion"]
    assert outcome(case) == ("skipped", None)
    message = case[0].attrib["message"]
    assert message.startswith("waived by r.ait until 2026-11-20: lands in <March>")
    assert "misses" in message
    assert complaints(root) == []
    assert int(root.attrib["failures"]) == 0
    late = cases(ET.fromstring(to_junit([run], date(2026, 11, 21))))["robustness.evasion"]
    assert outcome(late) == ("failure", "fail")
    assert "WAIVER EXPIRED on 2026-11-20" in late[0].attrib["message"]
