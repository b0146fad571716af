"""The card of the model a run audited, with the run's headline numbers, their intervals and verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.audit.files import write_atomically
from raiaudit.errors import UsageError
from raiaudit.models.cards import AuditFindings, Finding, model_card
from raiaudit.reports.theme import VERDICTS
from raiaudit.reports.words.headline import COLUMNS, headlines
from raiaudit.reports.words.wording import quantity, slice_text

if TYPE_CHECKING:
    from pathlib import Path

    from raiaudit.audit.results import Results
    from raiaudit.audit.store import Run
    from raiaudit.models.version import TrainingRecord

__all__ = ["audit_findings", "write_card"]


def audit_findings(results: Results, record: TrainingRecord) -> AuditFindings:
    """The numbers of `results` for the card of the model that `record` describes.

    Raises `UsageError` when the run audited another model.
    """
    audited = results.subject.record.weights_digest
    if audited != record.weights_digest:
        raise UsageError(
            f"run {results.run} audited another model: its weights digest begins {audited[:12]}, "
            f"this one's {record.weights_digest[:12]}",
            remedy="name a run of this very version",
        )
    findings = []
    for column, headline in zip(COLUMNS, headlines(results), strict=True):
        if headline is None or headline.measurement.value is None:
            continue
        m = headline.measurement
        where = f" ({slice_text(m.where)})" if m.where else ""
        findings.append(
            Finding(
                metric=m.metric,
                title=column.title + where,
                text=quantity(m),
                value=headline.measurement.value,
                low=m.low,
                high=m.high,
                confidence=m.confidence,
                n=m.n,
                verdict=VERDICTS[headline.status].word if headline.status is not None else "",
            )
        )
    return AuditFindings(
        run=results.run,
        verdict=VERDICTS[results.verdict].word,
        data_name=results.data.name,
        data_digest=results.data.digest,
        examples=results.data.audited,
        partial=results.partial,
        findings=tuple(findings),
        checks=frozenset(outcome.check for outcome in results.checks if outcome.status == "ran"),
    )


def write_card(run: Run, path: Path | None = None) -> Path:
    """Write the card of the audited model, by default to `model_card.md` in the run's directory.

    Raises `UsageError` for a run of predictions from a file, which saw no model.
    """
    results = run.results
    subject = results.subject
    if subject.record.is_predictions:
        raise UsageError(
            f"run {results.run} audited predictions from a file, so there is no model to describe"
        )
    findings = audit_findings(results, subject.record)
    target = path or run.folder / "model_card.md"
    text = model_card(subject.name, subject.record, version=subject.version or None, audit=findings)
    write_atomically(target, text)
    return target
