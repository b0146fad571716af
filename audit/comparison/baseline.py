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
from raiaudit.audit.gates import Verdict
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.audit.store import Home, Run
from raiaudit.errors import UsageError

if TYPE_CHECKING:
    from raiaudit.audit.gates import Gate, Status
    from raiaudit.audit.measurement import Measurement

__all__ = ["LATEST_PASSING", "baseline_of", "decide_against"]

LATEST_PASSING = "latest-passing"


def baseline_of(name: str, run: Run, data_digest: str) -> Run:
    """The finished run that `name` means to `run`, audited on the same data.

    An id or the start of one is looked for beside `run`; so is `latest-passing`, the newest other run of
    this model whose gates all passed, none of them waived. A path to a run directory starts where the spec
    is. Raises `UsageError` if there is none, or it cannot be compared.
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
    model = run.header.model
    for other in home.runs():
        header = other.header
        if other.id == run.id or header.model != model or header.verdict != "pass" or not other.finished:
            continue
        if other.results.data.digest == data_digest:
            return other
    raise UsageError(f"no other run of {model} on these data has passed yet")


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
