"""A summary in GitHub's Markdown, for pull requests and CI step summaries (at most 1 MiB there).

Names come from outside and are escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from raiaudit.models.markdown import escape
from raiaudit.reports.content import summary_sentence
from raiaudit.reports.headline import COLUMNS, headlines, shown_columns
from raiaudit.reports.theme import VERDICTS
from raiaudit.reports.wording import check_title, metric_title, quantity, slice_text, threshold, value

if TYPE_CHECKING:
    from raiaudit.audit.gates import Status
    from raiaudit.audit.results import Results
    from raiaudit.audit.store import Run
    from raiaudit.reports.headline import Headline

__all__ = ["escape", "to_markdown"]

LIMIT = 1_000_000  # bytes; GitHub refuses a step summary of more than 1 MiB as a whole


def to_markdown(runs: Sequence[Run]) -> str:
    """Verdicts and headline numbers of all runs, then the gates of each; finished runs only."""
    results = [run.results for run in runs]
    if not results:
        return "## Audit\n\nNo run has finished: nothing was decided.\n"
    text = "\n".join(_overview(results)) + "\n"
    for done, result in enumerate(results):
        block = "\n" + "\n".join(_gates(result)) + "\n"
        if len((text + block).encode()) > LIMIT:
            left = len(results) - done
            return text + f"\nThe gates of {left} more models are left out here: see each run's report.\n"
        text += block
    return text


def _overview(results: Sequence[Results]) -> Iterator[str]:
    count = f"{len(results)} {'model' if len(results) == 1 else 'models'}"
    if all(result.subject.record.is_predictions for result in results):
        count = "predictions"
    yield f"## Audit of {count} on {escape(results[0].data.name)}"
    yield ""
    rows = [headlines(result) for result in results]
    columns = shown_columns(rows)
    yield "| Model | Verdict |" + "".join(f" {COLUMNS[i].title} |" for i in columns)
    yield "|---|---|" + "---:|" * len(columns)
    for result, row in zip(results, rows, strict=True):
        cells = "".join(f" {_cell(row[i])} |" for i in columns)
        yield f"| {_name(result)} | {_verdict(result.verdict)} |{cells}"


def _gates(result: Results) -> Iterator[str]:
    yield f"### {_name(result)}: {_verdict(result.verdict)}"
    yield ""
    yield summary_sentence(result) + (
        f" Only {result.data.audited:,} examples were audited: `--limit` left out the rest."
        if result.partial
        else ""
    )
    yield ""
    for limit in result.subject.record.loaded.limits if result.subject.record.loaded else ():
        yield escape(limit)
        yield ""
    if result.verdicts:
        yield "| Verdict | Check | Quantity | Threshold | Measured |"
        yield "|---|---|---|---|---|"
    for verdict in result.verdicts:
        gate, m = verdict.gate, verdict.measurement
        where = f" ({slice_text(gate.where)})" if gate is not None and gate.where else ""
        asked = "the check itself" if gate is None else metric_title(gate.metric) + where
        measured = verdict.explanation if m is None else quantity(m)
        bound = "" if gate is None else threshold(gate, m)
        cells = (check_title(verdict.check), asked, bound, measured)
        yield f"| {_verdict(verdict.status)} | " + " | ".join(escape(cell) for cell in cells) + " |"
    for outcome in result.checks:
        if outcome.status != "ran":
            yield ""
            why = escape(outcome.reason or outcome.status)
            yield f"Not tested: {escape(check_title(outcome.check))} ({why})."


def _name(result: Results) -> str:
    return escape(result.subject.name) + (" **PARTIAL**" if result.partial else "")


def _cell(headline: Headline | None) -> str:
    if headline is None:
        return "–"
    m = headline.measurement
    if m.value is None:
        return "not defined"
    symbol = "" if headline.status is None else f" {VERDICTS[headline.status].symbol}"
    return escape(value(m)) + symbol


def _verdict(status: Status) -> str:
    look = VERDICTS[status]
    return f"{look.symbol} {look.word}"
