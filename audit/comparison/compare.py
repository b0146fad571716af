"""Two or more runs held against the first of them: what differs, then every quantity that can be compared.

Where the ledgers allow it a quantity is paired, example by example (`pairing`); else two measurements with
intervals are subtracted and said to be unpaired. P-values are corrected by Holm, over each table by itself.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from raiaudit.audit.comparison.changes import changed_examples, group_deltas
from raiaudit.audit.comparison.deltas import Both, deltas_of
from raiaudit.audit.comparison.differences import (
    checks_of_other_versions,
    differences,
    refuse_incomparable,
)
from raiaudit.audit.comparison.pairing import Rows
from raiaudit.audit.comparison.results import ComparedRun, Comparison, NotCompared
from raiaudit.audit.statistics.replicates import holm
from raiaudit.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from raiaudit.audit.comparison.results import Delta
    from raiaudit.audit.results import Results
    from raiaudit.audit.store import Home, Run

__all__ = ["compare_runs", "named_runs"]

_MOST_SLICES = 6
"""Slices of one quantity in the main table; more (corruptions by severity) have a table of their own."""


def compare_runs(runs: Sequence[Run], *, confidence: float = 0.95) -> Comparison:
    """Every run against the first. Raises `NotComparableError` where a difference would say nothing."""
    if len(runs) < 2:
        raise UsageError(
            "a comparison needs two runs or more", remedy="name another run, or a suite of several"
        )
    found = [(run, run.results) for run in runs]
    for each in found[1:]:
        refuse_incomparable(each, found[0])
    rows = [Rows(run.ledger, results.measurements) for run, results in found]
    found_by_run = [
        deltas_of(
            Both(
                place,
                found[place],
                found[0],
                rows[place],
                rows[0],
                checks_of_other_versions(found[place][0], found[0][0]),
                confidence,
            )
        )
        for place in range(1, len(found))
    ]
    deltas = [delta for each in found_by_run for delta in each.deltas]
    many = _sliced(deltas)
    main = [delta for delta in deltas if (delta.check, delta.metric) not in many]
    yes_no = [
        pair
        for each in found_by_run
        for pair in each.pairs
        if (pair.delta.check, pair.delta.metric) not in many
    ]
    base = found[0][1].data
    return Comparison(
        runs=tuple(_cards(found)),
        data=base.name,
        data_digest=base.digest,
        audited=base.audited,
        confidence=confidence,
        differences=differences(found),
        paired=_corrected([delta for delta in main if delta.kind != "unpaired"]),
        unpaired=_corrected([delta for delta in main if delta.kind == "unpaired"]),
        slices=_corrected([delta for delta in deltas if (delta.check, delta.metric) in many]),
        groups=_corrected(list(group_deltas(yes_no, rows[0], confidence))),
        changed=tuple(changed_examples(yes_no)),
        not_compared=tuple(
            gap for place, each in enumerate(found_by_run, start=1) for gap in _reasons(place, each.reasons)
        ),
    )


def named_runs(home: Home, names: Sequence[str]) -> list[Run]:
    """The runs that names stand for: a run id, the beginning of one, a suite, or `latest`, the newest suite.

    A suite is named by its id or by its spec's name (then the newest of that name); its runs that have not
    finished are left out.
    """
    found: list[Run] = []
    for name in names:
        one, suite = _named(home, name)
        found += one or [run for run in suite if run.finished and run not in found]
    return found


def _named(home: Home, name: str) -> tuple[list[Run], list[Run]]:
    """The one run of this name, or else a suite."""
    if name == "latest":
        return [], home.suite("latest")
    try:
        return [home.run(name)], []
    except UnknownNameError:
        runs = home.runs()
        suites = dict.fromkeys(run.header.suite for run in runs)
        suite = next((each for each in suites if name in (each, each.rpartition("-")[0])), None)
        if suite is None:
            choices = [*(run.id for run in runs), *suites]
            raise UnknownNameError("run or suite", name, choices, where=str(home.runs_folder)) from None
        return [], [run for run in reversed(runs) if run.header.suite == suite]


def _cards(found: Sequence[tuple[Run, Results]]) -> Iterator[ComparedRun]:
    names = Counter(results.subject.name for _, results in found)
    seen: Counter[str] = Counter()
    for run, results in found:
        name = results.subject.name
        seen[name] += 1
        yield ComparedRun(
            id=run.id,
            name=name if names[name] == 1 else f"{name} ({seen[name]})",
            started=run.header.started,
            verdict=results.verdict,
            partial=results.partial,
        )


def _sliced(deltas: Sequence[Delta]) -> set[tuple[str, str]]:
    """Quantities of so many slices that they would drown the others, and single classes."""
    per_run = Counter((delta.run, delta.check, delta.metric) for delta in deltas)
    many = {(check, metric) for (_, check, metric), count in per_run.items() if count > _MOST_SLICES}
    return many | {(delta.check, delta.metric) for delta in deltas if "class" in delta.where}


def _corrected(deltas: Sequence[Delta]) -> tuple[Delta, ...]:
    """With Holm's correction over all tests among them."""
    tested = [delta.p for delta in deltas if delta.p is not None]
    corrected = iter(holm(tested))
    return tuple(
        delta if delta.p is None else delta.model_copy(update={"p_holm": next(corrected)}) for delta in deltas
    )


def _reasons(place: int, reasons: Sequence[tuple[str, str, str]]) -> Iterator[NotCompared]:
    """(check, metric, reason), gathered by reason."""
    metrics: dict[tuple[str, str], list[str]] = defaultdict(list)
    for check, metric, reason in reasons:
        metrics[check, reason].append(metric)
    for (check, reason), named in metrics.items():
        yield NotCompared(run=place, check=check, metrics=tuple(dict.fromkeys(named)), reason=reason)
