"""JUnit XML for continuous integration: a suite a run, a case a gate.

fail → `failure`; error and inconclusive → `error` (neither may look green); not run → `skipped`. A check
without a gate is `skipped` too: it was measured, not judged. So is a waived gate, whatever it measured: CI
shows it apart from what passed, with who waived it until when, and lets the build go on. `time` is seconds
from the journal, given to the first case of a check. Characters that XML 1.0 cannot hold are written as
`[U+0007]`. Elements and attributes are those that Jenkins' schema (xunit-plugin, junit-10.xsd) knows.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raiaudit.audit.gating import day_of
from raiaudit.reports.theme import VERDICTS
from raiaudit.reports.words.waiving import waiver_note
from raiaudit.reports.words.wording import slice_text

if TYPE_CHECKING:
    from datetime import date

    from raiaudit.audit.gates import Verdict
    from raiaudit.audit.results import Results
    from raiaudit.audit.store import Run

__all__ = ["to_junit"]

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ELEMENT = {"fail": "failure", "error": "error", "inconclusive": "error", "not_run": "skipped"}


@dataclass(frozen=True, slots=True)
class _Case:
    check: str
    name: str
    status: str
    message: str


def to_junit(runs: Sequence[Run], day: date | None = None) -> str:
    """The document for one run or the runs of a suite; a run that has not finished is an error.

    Waivers count if they do on `day`, by default that of the run.
    """
    root = ET.Element("testsuites", name="raiaudit")
    for run in runs:
        _add_suite(root, run, day or day_of(run.header))
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    root.set("time", _seconds(sum(float(suite.get("time", "0")) for suite in root)))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _add_suite(root: ET.Element, run: Run, day: date) -> None:
    header = run.header
    cases = _cases(run.results, day) if run.finished else [_unfinished(run)]
    seconds = _seconds_by_check(run)
    suite = ET.SubElement(root, "testsuite")
    suite.set("name", _legal(header.model + (" PARTIAL" if header.partial else "")))
    elements = [_ELEMENT.get(case.status) for case in cases]
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(elements.count("failure")))
    suite.set("errors", str(elements.count("error")))
    suite.set("skipped", str(elements.count("skipped")))
    suite.set("time", _seconds(sum(seconds.values())))
    suite.set("timestamp", header.started[:19])
    properties = ET.SubElement(suite, "properties")
    facts = {"run": header.id, "data": header.data, "verdict": header.verdict or header.status}
    for name, value in {**facts, "partial": str(header.partial).lower()}.items():
        ET.SubElement(properties, "property", name=name, value=_legal(value))
    for case in cases:
        element = ET.SubElement(suite, "testcase")
        element.set("classname", _legal(case.check))
        element.set("name", _legal(case.name))
        element.set("time", _seconds(seconds.pop(case.check, 0.0)))
        if case.status in _ELEMENT:
            outcome = ET.SubElement(element, _ELEMENT[case.status], message=_legal(case.message))
            if case.status != "not_run":
                outcome.set("type", case.status)


def _cases(results: Results, day: date) -> list[_Case]:
    cases = [_gate_case(verdict, day) for verdict in results.verdicts]
    judged = {verdict.check for verdict in results.verdicts}
    for outcome in results.checks:
        if outcome.check not in judged:
            why = outcome.reason or "measured, not judged: no gate was set"
            cases.append(_Case(outcome.check, "no gate", "not_run", why))
    if not results.verdicts:
        cases.append(_Case("raiaudit", "verdict", "inconclusive", "no gate was set, so nothing was decided"))
    return cases


def _gate_case(verdict: Verdict, day: date) -> _Case:
    note = waiver_note(verdict, day)
    if verdict.waived(day):
        message = f"{note} — {VERDICTS[verdict.status].word.lower()}: {verdict.explanation}"
        return _Case(verdict.check, _gate_name(verdict), "not_run", message)
    message = f"{verdict.explanation} — {note}" if note else verdict.explanation
    return _Case(verdict.check, _gate_name(verdict), verdict.status, message)


def _gate_name(verdict: Verdict) -> str:
    if verdict.gate is None:
        return "the check itself"
    where = slice_text(verdict.gate.where)
    return f"{verdict.gate.metric}{f' ({where})' if where else ''} {verdict.gate.threshold()}"


def _unfinished(run: Run) -> _Case:
    header = run.header
    return _Case("raiaudit", "run", "error", header.error or f"the run is {header.status}, not finished")


def _seconds_by_check(run: Run) -> dict[str, float]:
    total: dict[str, float] = defaultdict(float)
    for event in run.journal():
        if isinstance(event.get("seconds"), int | float) and "check" in event:
            total[str(event["check"])] += float(event["seconds"])
    return total


def _seconds(number: float) -> str:
    return f"{number:.3f}"


def _legal(text: str) -> str:
    return _ILLEGAL.sub(lambda found: f"[U+{ord(found[0]):04X}]", text)
