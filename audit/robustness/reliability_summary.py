"""What the flags amount to: a measurement each, and one that doubts the robust accuracy if any is raised."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from raiaudit.audit.measurement import Measurement, Scalar
from raiaudit.audit.robustness.evasion_parts import ROBUSTNESS_METRICS
from raiaudit.audit.robustness.reliability_flags import FLAGS, Flag
from raiaudit.audit.robustness.reliability_sample import MissingColumnError, Sample
from raiaudit.audit.statistics.intervals import clopper_pearson

if TYPE_CHECKING:
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject

__all__ = ["Finding", "findings", "measurements", "outside_the_ball"]

_KEPT = re.compile(r"evasion\.(\w+)-([\d.]+(?:e[+-]?\d+)?)-(.+)\.adversarial")
_SIX_DIGITS = 5.1e-6  # what a radius loses when a column is named after it

_EXPLAINED = 2  # flags whose meaning a verdict spells out; all of them are in the table
_LATE_GAIN = 0.05  # of the loss's rise, in the last ten steps (arXiv:2106.09947)


@dataclass(frozen=True, slots=True)
class Finding:
    """One flag on one sample. `count` is None where the flag could not be asked; then `why` says so."""

    flag: Flag
    count: int | None
    n: int
    low: float = 0.0
    high: float = 1.0
    why: str = ""

    @property
    def raised(self) -> bool:
        """The exact lower bound clears the tolerance."""
        return self.count is not None and self.low > self.flag.tolerance

    @property
    def title(self) -> str:
        """ "zero gradients (58 of 58)"."""
        return f"{self.flag.name.replace('_', ' ')} ({self.count} of {self.n})"

    @property
    def text(self) -> str:
        """For people: what was seen, what it means, what to do."""
        return f"{self.title}: {self.flag.meaning}; {self.flag.remedy}"


def findings(sample: Sample) -> list[Finding]:
    """Every flag on a sample, in order."""
    return [_finding(flag, sample) for flag in FLAGS]


def _finding(flag: Flag, sample: Sample) -> Finding:
    try:
        hits, among = flag.measure(sample)
    except MissingColumnError as missing:
        return Finding(flag, None, 0, why=f"not asked: nothing was measured for {missing}")
    n, count = int(among.sum()), int((hits & among).sum())
    if not n:
        return Finding(flag, None, 0, why="there is no example to ask it of")
    return Finding(flag, count, n, *clopper_pearson(count, n))


def measurements(check: str, sample: Sample, norm: str, eps: float) -> list[Measurement]:
    """`flags_raised`, what stood after everything that was tried, the flags, and the cost."""
    where: dict[str, Scalar] = {"norm": norm, "eps": eps}
    found = findings(sample)
    raised = [finding for finding in found if finding.raised]
    robust = int((~sample.everything).sum())
    low, high = clopper_pearson(robust, sample.size)
    facts: dict[str, Any] = {"check": check, "where": where}
    return [
        Measurement(
            **facts,
            metric="flags_raised",
            value=len(raised),
            n=sample.size,
            unit="flags",
            better="lower",
            method="carlini2019",
            reason=_why(raised, sample) if raised else None,
            doubts=ROBUSTNESS_METRICS if raised else (),
        ),
        Measurement(
            **facts,
            metric="accuracy_after_everything_tried",
            value=robust / sample.size,
            low=low,
            high=high,
            n=sample.size,
            better="higher",
            method="carlini2019",
        ),
        *(_measured(finding, facts, norm, eps) for finding in found),
        *_late(sample, facts),
        *(_cost(sample, facts, name) for name in ("forwards", "backwards")),
    ]


def _why(raised: list[Finding], sample: Sample) -> str:
    first = "; ".join(f"{finding.title}: {finding.flag.meaning}" for finding in raised[:_EXPLAINED])
    others = ", ".join(finding.title for finding in raised[_EXPLAINED:])
    return f"{first}{f'; also {others}' if others else ''}. Tried {sample.tried()}"


def _measured(finding: Finding, facts: dict[str, Any], norm: str, eps: float) -> Measurement:
    share = None if finding.count is None else finding.count / finding.n
    return Measurement(
        **facts,
        metric=finding.flag.name,
        value=share,
        low=None if share is None else finding.low,
        high=None if share is None else finding.high,
        n=finding.n,
        better="lower",
        method=finding.flag.method,
        reason=finding.why or (finding.text if finding.raised else None),
    )


def _late(sample: Sample, facts: dict[str, Any]) -> list[Measurement]:
    """Of what withstood, the share whose loss still rose in the last steps: a hint, no flag by itself."""
    if "late_gain" not in sample or not (n := int(sample.standing.sum())):
        return []
    count = int(((sample["late_gain"] > _LATE_GAIN) & sample.standing).sum())
    low, high = clopper_pearson(count, n)
    return [
        Measurement(
            **facts,
            metric="late_gain",
            value=count / n,
            low=low,
            high=high,
            n=n,
            better="lower",
            method="pintor2022",
        )
    ]


def _cost(sample: Sample, facts: dict[str, Any], name: str) -> Measurement:
    spent = [values for key, values in sample.columns.items() if key.endswith(name)]
    total_N = np.sum(spent, axis=0) if spent else np.zeros(sample.size)
    return Measurement(
        **facts,
        metric=f"{name.removesuffix('s')}_passes",
        value=float(total_N.mean()),
        n=sample.size,
        unit="passes per example",
        better="neither",
        method="carlini2019",
    )


def outside_the_ball(ledger: LedgerReader, subject: Subject, norm: str) -> list[str]:
    """Example ids whose adversarial input, as `robustness.evasion` kept it, is out of bounds.

    Recomputed in float64 from the values in the ledger, whatever the attack said of their norm.
    """
    from raiaudit.attacks.evasion.diagnostics.recheck import outside
    from raiaudit.attacks.spaces import ImageBox
    from raiaudit.attacks.threats import ThreatModel

    space = subject.dataset.space
    if not isinstance(space, ImageBox):
        return []
    place = {example: row for row, example in enumerate(subject.test.ids.to_list())}
    bad: list[str] = []
    for name in sorted(ledger.columns()):
        if (threat := _KEPT.fullmatch(name)) is None or threat[1] != norm:
            continue
        kept = ledger.scan(name).drop_nulls(name).collect()
        if kept.is_empty():
            continue
        eps = float(threat[2]) * (1 + _SIX_DIGITS)
        ids = kept["example_id"].to_list()
        rows = np.array([place[example] for example in ids], dtype=np.int64)
        clean = np.asarray(subject.test.take(rows).inputs)
        scale = np.float32(255) if clean.dtype == np.uint8 else np.float32(1)
        found = np.array(kept[name].to_list(), dtype=np.float32)
        gone = outside(clean.astype(np.float32) / scale, found, ThreatModel(norm, eps), space)  # type: ignore[arg-type]
        bad += [example for example, out in zip(ids, gone, strict=True) if out]
    return bad
