"""What speaks against the model or leaves it open, most severe first, each with what to do about it.

Every gate that did not pass is a finding; so is what the catalogue calls grave although no gate asked
(`templates/remedies.yaml`). The order: failed gates, the farthest from its threshold first; grave results
without a gate; errors; gates left open; gates that could not be asked. Gates on one metric that ended alike
are one finding. Remedies are chosen by rule.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from raiaudit.audit.gates import LATEST_PASSING
from raiaudit.reports.content.remedies import error_remedy, flag_rules, remedy
from raiaudit.reports.words.waiving import waiver_note
from raiaudit.reports.words.wording import check_title, metric_title, quantity, slice_text, threshold

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from raiaudit.audit.gates import Verdict
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.results import Results
    from raiaudit.reports.content.remedies import FlagRule

__all__ = ["Finding", "finding_rows", "findings"]

_ORDER = ("fail", "flagged", "error", "inconclusive", "not_run")
_LISTED = 4
_AGAIN = "As in the finding on the same quantity, in slices that no gate asked about."


@dataclass(frozen=True, slots=True)
class Finding:
    """`status` is a verdict's, or "flagged" where no gate asked. `told` is the audit's own sentence,
    `means` the same in plain words, `steps` what to do; `waiver` who answers for leaving it open."""

    status: str
    check: str
    title: str
    measured: str
    threshold: str
    told: str
    means: str
    steps: tuple[str, ...]
    waiver: str = ""
    miss: float = 0.0
    """How far the nearer end of the interval is from the threshold, as a share of the threshold."""
    metric: str = ""
    where: str = ""
    """The slice in words, of a gate's finding."""


def findings(results: Results, day: date) -> list[Finding]:
    """Every finding of a run, most severe first; equal ones in the order of the spec, waived ones last."""
    open_gates = [v for v in results.verdicts if v.status != "pass"]
    found = [_of_gate(results, verdict, day) for verdict in open_gates]
    gated = [v.measurement for v in open_gates if v.measurement is not None]
    told = {(m.check, m.metric) for m in gated}
    for rule in flag_rules():
        for flagged in _flagged(rule, results.measurements, known=gated):
            again = (flagged.check, rule.metric) in told
            found.append(replace(flagged, means=_AGAIN, steps=()) if again else flagged)
    return _merged(sorted(found, key=lambda each: (_ORDER.index(each.status), bool(each.waiver), -each.miss)))


def _merged(found: Sequence[Finding]) -> list[Finding]:
    """Gates on one metric that ended alike are one finding, told of the worst slice; others are listed."""
    alike: dict[tuple[object, ...], list[Finding]] = {}
    for number, each in enumerate(found):
        one = (each.status, each.check, each.metric, each.steps, each.waiver)
        alike.setdefault(one if each.metric else (number,), []).append(each)
    return [group[0] if len(group) == 1 else _of_slices(group) for group in alike.values()]


def _of_slices(found: Sequence[Finding]) -> Finding:
    listed = [f"{each.where or 'overall'}: {each.measured or each.told}" for each in found[:_LISTED]]
    more = len(found) - _LISTED
    thresholds = list(dict.fromkeys(each.threshold for each in found))
    return replace(
        found[0],
        title=f"{metric_title(found[0].metric)} ({len(found)} gates)",
        measured="; ".join([*listed, *([f"and {more} more, see Verdict by gate"] if more > 0 else [])]),
        threshold=thresholds[0] if len(thresholds) == 1 else "several, see Verdict by gate",
        told=f"{found[0].told} (the first of {len(found)})",
    )


def finding_rows(results: Results, day: date) -> list[dict[str, Any]]:
    """The findings as plain data, numbered; waivers as they stand on `day`."""
    return [
        {"number": i, "check_title": check_title(each.check), **asdict(each)}
        for i, each in enumerate(findings(results, day), start=1)
    ]


def _of_gate(results: Results, verdict: Verdict, day: date) -> Finding:
    gate, m = verdict.gate, verdict.measurement
    where = slice_text(gate.where if m is None else m.where) if gate is not None else ""
    title = check_title(verdict.check) if gate is None else metric_title(gate.metric)
    means, steps = _advice(results, verdict)
    return Finding(
        status=verdict.status,
        check=verdict.check,
        title=f"{title} ({where})" if where else title,
        measured="" if m is None else quantity(m),
        threshold="" if gate is None else threshold(gate, m),
        told=verdict.explanation,
        means=means,
        steps=tuple(step for step in steps if step),
        waiver=waiver_note(verdict, day),
        miss=_miss(verdict),
        metric="" if gate is None else gate.metric,
        where=where,
    )


def _advice(results: Results, verdict: Verdict) -> tuple[str, Sequence[str]]:
    """What it means and what to do, by how the gate ended."""
    gate, m = verdict.gate, verdict.measurement
    known = remedy(verdict.check, "" if gate is None else gate.metric)
    outcome = next((o for o in results.checks if o.check == verdict.check), None)
    if m is None and outcome is not None and outcome.status == "error":
        message = f"{outcome.reason} {verdict.explanation}"
        return "The check stopped before it had an answer: nothing is known of what it asks.", (
            error_remedy(message),
        )
    if m is None:
        return "Nothing was measured that this gate could be held against.", (known.missing,)
    if verdict.status == "fail":
        return _failed(results, verdict, known.means, known.next)
    doubts = [d for d in results.measurements if d.doubts and m.metric.startswith(d.doubts)]
    if doubts:
        doubting = remedy(doubts[0].check, doubts[0].metric)
        return (
            f"The number would pass, but “{check_title(doubts[0].check)}” says that it cannot be relied on.",
            doubting.next,
        )
    if m.value is None:
        return "The quantity is not defined on these data, so the gate stays open.", (known.undecided,)
    if gate is not None and m.low is not None and m.confidence < gate.confidence - 1e-9:
        return f"The interval holds with {m.confidence:.0%} where the gate asks for {gate.confidence:.0%}.", (
            f"Set `confidence` of the check to {gate.confidence:g}, or ask the gate for less.",
        )
    return (
        f"On these {m.n:,} examples neither a pass nor a failure can be shown: the threshold lies within the "
        "interval.",
        (known.undecided,),
    )


def _failed(
    results: Results, verdict: Verdict, means: str, steps: Sequence[str]
) -> tuple[str, Sequence[str]]:
    gate = verdict.gate
    if gate is not None and gate.vs_baseline is not None and _miss(verdict) == 0:
        baseline = gate.vs_baseline.run
        if baseline == LATEST_PASSING:
            return "The model falls behind the last run that passed by more than was allowed.", steps
        return f"The model falls behind {baseline} on the same examples by more than was allowed.", (
            f"`raiaudit compare {baseline} {results.run}` names what differs between the two runs.",
            *steps,
        )
    return means, steps


def _miss(verdict: Verdict) -> float:
    gate, m = verdict.gate, verdict.measurement
    if gate is None or m is None or m.value is None or verdict.status != "fail":
        return 0.0
    low, high = m.value if m.low is None else m.low, m.value if m.high is None else m.high
    under = 0.0 if gate.min is None else (gate.min - high) / (abs(gate.min) or 1.0)
    over = 0.0 if gate.max is None else (low - gate.max) / (abs(gate.max) or 1.0)
    return max(under, over, 0.0)


def _flagged(
    rule: FlagRule, measurements: Sequence[Measurement], *, known: Sequence[Measurement]
) -> list[Finding]:
    """One finding a check for which the rule holds somewhere no open gate has named already."""
    held = [m for m in measurements if _holds(rule, m) and m not in known]
    by_check: dict[str, list[Measurement]] = {}
    for m in held:
        by_check.setdefault(m.check, []).append(m)
    return [_flag(rule, check, found) for check, found in by_check.items()]


def _flag(rule: FlagRule, check: str, found: Sequence[Measurement]) -> Finding:
    known = remedy(check, rule.metric)
    listed = [f"{slice_text(m.where) or metric_title(m.metric)}: {quantity(m)}" for m in found[:_LISTED]]
    more = len(found) - _LISTED
    bound = next((f"flagged {side} {number:g}" for side, number in rule.bounds() if number is not None), "")
    return Finding(
        status="flagged",
        check=check,
        title=rule.title,
        measured="; ".join([*listed, *([f"and {more} more"] if more > 0 else [])]),
        threshold=bound,
        told=" ".join(dict.fromkeys(m.reason for m in found if rule.doubts and m.reason)),
        means=known.means,
        steps=known.next,
    )


def _holds(rule: FlagRule, m: Measurement) -> bool:
    if rule.doubts:
        return bool(m.doubts) and rule.check in ("*", m.check)
    if (rule.check, rule.metric) != (m.check, m.metric) or m.value is None or m.beside is not None:
        return False
    low, high = m.value if m.low is None else m.low, m.value if m.high is None else m.high
    return (rule.above is not None and low > rule.above) or (rule.below is not None and high < rule.below)
