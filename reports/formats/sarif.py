"""SARIF 2.1.0 for code scanning: a result for every gate that did not pass, at its line of the spec.

OASIS, Static Analysis Results Interchange Format 2.1.0 (errata 01). One `run` for all models, since services
keep one run a tool and category. fail and error → level `error`, inconclusive → `warning`, not run → `note`;
a waived gate is there, with a `suppression`. `ruleId` is check/metric. Fingerprints are made of model, check,
metric and slice, so that an alert survives other numbers, thresholds and lines. What is no gate's fault is a
notification: a run that did not finish, a waiver that matches nothing, a run without gates.

Names come from outside: control characters are spelled out, braces doubled (3.11.5: they would be
placeholders) and `](` broken (3.11.6: it would be a link).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from raiaudit import __version__
from raiaudit.audit.gating import day_of, idle
from raiaudit.models.markdown import escape, flat
from raiaudit.reports.formats.spec_lines import Places
from raiaudit.reports.theme import VERDICTS
from raiaudit.reports.words.waiving import waiver_note
from raiaudit.reports.words.wording import check_title, metric_title, slice_text, threshold

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from raiaudit.audit.gates import Verdict
    from raiaudit.audit.store import Run

__all__ = ["to_sarif"]

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"fail": "error", "error": "error", "inconclusive": "warning", "not_run": "note"}
_LONGEST_ID, _LONGEST_TEXT = 255, 1000
_ROOT = "%SRCROOT%"


def to_sarif(runs: Sequence[Run], day: date | None = None) -> str:
    """The document for one run or the runs of a suite.

    Waivers count if they do on `day`, by default that of the run.
    """
    finished = [run for run in runs if run.finished]
    open_verdicts = [
        (run, verdict) for run in finished for verdict in run.results.verdicts if verdict.status != "pass"
    ]
    rules = list(dict.fromkeys(_rule_id(verdict) for _, verdict in open_verdicts))
    log: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": "raiaudit",
                "version": __version__,
                "rules": [_rule(rule, open_verdicts) for rule in rules],
            }
        },
        "invocations": [_invocation(runs, finished)],
        "results": _results(open_verdicts, rules, day),
    }
    if runs:
        suite = runs[0].header.suite
        name = suite.rpartition("-")[0] or suite
        log["automationDetails"] = {"id": f"raiaudit/{_text(name)}/{_text(suite)}"}
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [log]}, indent=1) + "\n"


def _results(
    open_verdicts: Iterable[tuple[Run, Verdict]], rules: Sequence[str], day: date | None
) -> list[dict[str, Any]]:
    places: dict[str, Places] = {}
    seen: Counter[str] = Counter()
    results = []
    for run, verdict in open_verdicts:
        if run.id not in places:
            places[run.id] = Places(run)
        place = places[run.id].of(verdict)
        about = _about(run, verdict)
        seen[about] += 1
        fingerprint = hashlib.sha256(f"{about}{seen[about]}".encode()).hexdigest()[:32]
        location = {"uri": place.uri, "uriBaseId": _ROOT}
        result: dict[str, Any] = {
            "ruleId": _rule_id(verdict),
            "ruleIndex": rules.index(_rule_id(verdict)),
            "level": _LEVELS[verdict.status],
            "message": {"text": _message(run, verdict, day or day_of(run.header))},
            "locations": [
                {"physicalLocation": {"artifactLocation": location, "region": {"startLine": place.line}}}
            ],
            # GitHub would else make the second of the line alone, and take two models at one gate for one.
            "partialFingerprints": {
                "raiauditGate/v1": fingerprint,
                "primaryLocationLineHash": f"{fingerprint[:16]}:1",
            },
            "properties": {
                "model": _text(run.header.model),
                "run": _text(run.id),
                "verdict": verdict.status,
            },
        }
        if verdict.waived(day or day_of(run.header)):
            result["suppressions"] = [_suppression(verdict)]
        results.append(result)
    return results


def _about(run: Run, verdict: Verdict) -> str:
    """What a result is about, as distinct from what was found."""
    where = {} if verdict.gate is None else dict(verdict.gate.where)
    return json.dumps([run.header.model, _rule_id(verdict), where], sort_keys=True)


def _message(run: Run, verdict: Verdict, day: date) -> str:
    asked = ""
    if verdict.gate is not None:
        where = slice_text(verdict.gate.where)
        asked = f", {metric_title(verdict.gate.metric)}{f' ({where})' if where else ''}"
        asked += f" {threshold(verdict.gate, verdict.measurement)}"
    word = VERDICTS[verdict.status].word
    note = waiver_note(verdict, day)
    model = run.header.model + (" PARTIAL" if run.header.partial else "")
    parts = [f"{word}: {model}, {check_title(verdict.check)}{asked}.", f"{verdict.explanation}."]
    return _text(" ".join([*parts, *([f"{note}."] if note else [])]), 4 * _LONGEST_TEXT)


def _suppression(verdict: Verdict) -> dict[str, Any]:
    assert verdict.waiver is not None
    waiver = verdict.waiver
    facts = {"owner": waiver.owner, "expires": str(waiver.expires), "issue": waiver.issue}
    return {
        "kind": "external",
        "status": "accepted",
        "justification": _text(waiver.reason),
        "properties": {key: _text(value) for key, value in facts.items() if value},
    }


def _rule_id(verdict: Verdict) -> str:
    metric = "error" if verdict.gate is None else verdict.gate.metric
    return flat(f"{verdict.check}/{metric}")[:_LONGEST_ID]


def _rule(rule: str, open_verdicts: Sequence[tuple[Run, Verdict]]) -> dict[str, Any]:
    """Title, the check's question, and help with the citation of the method."""
    from raiaudit.audit.bibliography import BIBLIOGRAPHY

    run, verdict = next(pair for pair in open_verdicts if _rule_id(pair[1]) == rule)
    title = check_title(verdict.check)
    if verdict.gate is not None:
        title += f": {metric_title(verdict.gate.metric)}"
    outcomes = run.results.checks
    question = next((outcome.question for outcome in outcomes if outcome.check == verdict.check), "")
    cited = "" if verdict.measurement is None else BIBLIOGRAPHY.get(verdict.measurement.method, "")
    meaning = "A gate passes only if the bound of the confidence interval clears the threshold."
    paragraphs = [question, meaning, *([f"Method: {cited}"] if cited else [])]
    return {
        "id": rule,
        "shortDescription": {"text": _text(title)},
        "fullDescription": {"text": _text(question or title)},
        "help": {
            "text": _text(" ".join(filter(None, paragraphs)), 4 * _LONGEST_TEXT),
            "markdown": "\n\n".join(escape(part) for part in paragraphs if part),
        },
        "properties": {"tags": [_text(verdict.check.partition(".")[0])]},
    }


def _invocation(runs: Sequence[Run], finished: Sequence[Run]) -> dict[str, Any]:
    stopped, asked = [], []
    for run in runs:
        if run not in finished:
            header = run.header
            why = header.error or "it has not finished"
            stopped.append(_notification("error", f"{header.id} is {header.status}: {why}"))
        elif not run.results.verdicts:
            why = "no gate was set, so nothing was decided"
            asked.append(_notification("warning", f"{run.header.model}: {why}"))
    for waiver in idle([run.results for run in finished]):
        text = f"a waiver of {waiver.owner} matches no gate: {waiver.title()}"
        asked.append(_notification("warning", text))
    found: dict[str, Any] = {"executionSuccessful": len(finished) == len(runs)}
    if runs:
        found["startTimeUtc"] = min(run.header.started for run in runs).replace("+00:00", "Z")
    if stopped:
        found["toolExecutionNotifications"] = stopped
    if asked:
        found["toolConfigurationNotifications"] = asked
    return found


def _notification(level: str, text: str) -> dict[str, Any]:
    return {"level": level, "message": {"text": _text(text)}}


def _text(text: str, longest: int = _LONGEST_TEXT) -> str:
    """Plain text on one line that no consumer can take for a link or a placeholder."""
    line = flat(text).replace("](", "] (")
    return _braces(line if len(line) <= longest else f"{line[: longest - 1]}…")


def _braces(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
