"""From measurements to the verdicts of a run: every gate answered, errors and gaps included."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.audit.gates import Verdict, decide

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raiaudit.audit.gates import Gate, Status
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.plan import PlannedCheck
    from raiaudit.audit.spec import Policy

__all__ = ["judge"]


def judge(
    plan: Sequence[PlannedCheck],
    measurements: Sequence[Measurement],
    errors: Mapping[str, str],
    policy: Policy,
) -> list[Verdict]:
    """One verdict a gate, and one for each check that ended in an error without having a gate."""
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
                verdict = decide(check, gate, measurements)
            verdicts.append(_under(policy, verdict))
    return verdicts


def _under(policy: Policy, verdict: Verdict) -> Verdict:
    strict = {"not_run": policy.not_run, "error": policy.error}
    if strict.get(verdict.status) != "fail":
        return verdict
    text = f"{verdict.explanation} (the policy counts this as a failure)"
    return verdict.model_copy(update={"status": "fail", "explanation": text})


def _without_measurement(status: Status, check: str, gate: Gate | None, why: str) -> Verdict:
    return Verdict(status=status, check=check, gate=gate, measurement=None, explanation=why)
