"""A gate against a baseline run: how much worse than there, example by example.

The change of yes/no values has Bonett and Price's interval (doi:10.3102/1076998611411915) and the p-value of
the exact McNemar test; that of other per-example values (a log loss, a distance) a paired bootstrap and a
sign-flip test: see `raiaudit.audit.comparison.paired`. The interval decides, the p-value is told beside it.

What is no mean over examples, or was measured on other examples there, is not comparable: the gate is then
`not_run` with the reason.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from raiaudit.audit.comparison.paired import test_means, test_yes_no
from raiaudit.audit.comparison.pairing import Pairs, Rows, pairs_of
from raiaudit.audit.gates import LATEST_PASSING, Verdict
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.audit.store import Home, Run
from raiaudit.errors import UsageError

if TYPE_CHECKING:
    from raiaudit.audit.gates import Gate, Status
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.results import Results

__all__ = ["baseline_of", "decide_against"]


def baseline_of(name: str, run: Run, data_digest: str) -> Run:
    """The finished run that `name` means to `run`, audited on the same data.

    An id or the start of one is looked for beside `run`; so is `latest-passing`, the newest other run of
    this model whose gates all passed, waivers or not. Gates that had no baseline themselves are left out of
    that, or there could never be a first. A path to a run directory starts where the spec is. Raises
    `UsageError` if there is none, or it cannot be compared.
    """
    home = Home(run.folder.parent.parent)
    folder = Path(run.header.spec_path).parent / name
    if name == LATEST_PASSING:
        found = _latest_passing(home, run, data_digest)
    elif (folder / "header.json").is_file():
        found = Run(folder.resolve())
    else:
        found = home.run(name)
    if found.folder.resolve() == run.folder.resolve():
        raise UsageError("a run cannot be its own baseline")
    if not found.finished:
        raise UsageError(f"the baseline {found.id} has not finished")
    if found.results.data.digest != data_digest:
        raise UsageError(f"the baseline {found.id} was audited on other data")
    return found


def _latest_passing(home: Home, run: Run, data_digest: str) -> Run:
    kind = (run.header.model, run.header.partial)
    for other in home.runs():
        if other.id == run.id or (other.header.model, other.header.partial) != kind or not other.finished:
            continue
        results = other.results
        if results.data.digest == data_digest and _passed(results):
            return other
    raise UsageError(f"no other run of {run.header.model} on these data has passed yet")


def _passed(results: Results) -> bool:
    ran = {outcome.check for outcome in results.checks if outcome.status == "ran"}
    return bool(results.verdicts) and all(
        verdict.status == "pass" or (verdict.check in ran and _had_no_baseline(verdict))
        for verdict in results.verdicts
    )


def _had_no_baseline(verdict: Verdict) -> bool:
    return verdict.gate is not None and verdict.gate.vs_baseline is not None and verdict.measurement is None


def decide_against(check: str, gate: Gate, measurement: Measurement, run: Run, baseline: Run) -> Verdict:
    """Whether `measurement` is worse than the baseline's by no more than the gate allows."""
    assert gate.vs_baseline is not None
    pairs = _pairs(measurement, run, baseline)
    if not isinstance(pairs, Pairs):
        text = f"{measurement.label()} is not comparable with {baseline.id}: {pairs}"
        return Verdict(status="not_run", check=check, gate=gate, measurement=measurement, explanation=text)
    if pairs.parts == 1:
        tested, by = test_yes_no(pairs, gate.confidence), "exact McNemar test"
    else:
        rng = keyed_rng(0, "vs_baseline", check, measurement.label())
        tested, by = test_means(pairs, gate.confidence, rng), "sign-flip test"
    sign = 1 if measurement.better == "lower" else -1
    worse, limits = sign * tested.difference, [sign * x for x in (tested.low, tested.high) if x is not None]
    limit, status = gate.vs_baseline.max_drop, _status(limits, gate.vs_baseline.max_drop)
    span = f" [{min(limits):.4g}, {max(limits):.4g}]" if limits else ""
    text = (
        f"{measurement.label()} is worse by {worse:.4g}{span} than in {baseline.id}, where at most {limit:g} "
        f"is allowed ({len(pairs.ids):,} pairs, p = {tested.p:.2g} by the {by})"
    )
    return Verdict(status=status, check=check, gate=gate, measurement=measurement, explanation=text)


def _status(limits: list[float], allowed: float) -> Status:
    if not limits:
        return "inconclusive"
    if max(limits) <= allowed:
        return "pass"
    return "fail" if min(limits) > allowed else "inconclusive"


def _pairs(measurement: Measurement, run: Run, baseline: Run) -> Pairs | str:
    """The pairs, or why there are none."""
    if measurement.better == "neither":
        return "it has no better and worse"
    key = (measurement.check, measurement.metric, measurement.where)
    theirs = next((m for m in baseline.results.measurements if (m.check, m.metric, m.where) == key), None)
    if theirs is None:
        return "it was not measured there"
    found = pairs_of(Rows(run.ledger, [measurement]), measurement, Rows(baseline.ledger, [theirs]), theirs)
    return "it is no mean over examples that both ledgers hold" if found is None else found
