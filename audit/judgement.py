"""From measurements to the verdicts of a run: every gate answered, errors and gaps included."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.audit.gates import SEVERITY, Verdict, decide, selected
from raiaudit.errors import RaiauditError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raiaudit.audit.gates import Gate, Status
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.plan import PlannedCheck
    from raiaudit.audit.spec import Policy
    from raiaudit.audit.store import Run

__all__ = ["judge"]


def judge(
    plan: Sequence[PlannedCheck],
    measurements: Sequence[Measurement],
    errors: Mapping[str, str],
    policy: Policy,
    run: Run,
    *,
    data_digest: str,
) -> list[Verdict]:
    """One verdict a gate, and one for each check that ended in an error without having a gate.

    `run` is the run being judged: baselines are looked up beside it, and paired through its ledger
    when they were audited on the same data (`data_digest`).
    """
    verdicts = []
    for planned in plan:
        check = planned.check.id
        if check in errors and not planned.gates:
            verdicts.append(
                _without_measurement("error", check, None, f"ended with an error: {errors[check]}")
            )
        for gate in planned.gates:
            if check in errors:
                verdict = _without_measurement("error", check, gate, f"ended with an error: {errors[check]}")
            elif planned.reason:
                verdict = _without_measurement("not_run", check, gate, planned.reason)
            else:
                verdict = _decide(check, gate, measurements, run, data_digest)
            verdicts.append(_under(policy, _unless_doubted(verdict, measurements)))
    return verdicts


def _decide(
    check: str, gate: Gate, measurements: Sequence[Measurement], run: Run, data_digest: str
) -> Verdict:
    verdict = decide(check, gate, measurements)
    if gate.vs_baseline is None or verdict.measurement is None:
        return verdict
    from raiaudit.audit.comparison import baseline_of, decide_against

    try:
        baseline = baseline_of(gate.vs_baseline.run, run, data_digest)
        paired = [
            decide_against(check, gate, measurement, run, baseline)
            for measurement in selected(check, gate, measurements)
        ]
    except RaiauditError as error:
        paired = [_without_measurement("not_run", check, gate, f"not comparable: {error.problem}")]
    return max(*paired, verdict, key=lambda each: SEVERITY[each.status])


def _unless_doubted(verdict: Verdict, measurements: Sequence[Measurement]) -> Verdict:
    """A pass that another measurement of the run casts doubt on decides nothing; a failure stands."""
    if verdict.status != "pass" or verdict.measurement is None:
        return verdict
    metric = verdict.measurement.metric
    reasons = dict.fromkeys(m.reason for m in measurements if m.doubts and metric.startswith(m.doubts))
    if not reasons:
        return verdict
    text = f"{verdict.explanation}, but is not to be trusted: {'; '.join(map(str, reasons))}"
    return verdict.model_copy(update={"status": "inconclusive", "explanation": text})


def _under(policy: Policy, verdict: Verdict) -> Verdict:
    strict = {"not_run": policy.not_run, "error": policy.error}
    if strict.get(verdict.status) != "fail":
        return verdict
    text = f"{verdict.explanation} (the policy counts this as a failure)"
    return verdict.model_copy(update={"status": "fail", "explanation": text})


def _without_measurement(status: Status, check: str, gate: Gate | None, why: str) -> Verdict:
    # An error's remedy stands on a line of its own, which a verdict has not.
    line = why.replace("\n", " ")
    return Verdict(status=status, check=check, gate=gate, measurement=None, explanation=line)
