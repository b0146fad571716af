"""A summary in GitHub's Markdown, for pull requests and CI step summaries (at most 1 MiB there).

Names come from outside and are escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from raiaudit.audit.gates import SEVERITY
from raiaudit.audit.gating import day_of, idle, rule
from raiaudit.models.markdown import escape
from raiaudit.reports.content.report import summary_sentence
from raiaudit.reports.theme import VERDICTS
from raiaudit.reports.words.headline import COLUMNS, headlines, shown_columns
from raiaudit.reports.words.waiving import waiver_note
from raiaudit.reports.words.wording import check_title, metric_title, quantity, slice_text, threshold, value

if TYPE_CHECKING:
    from datetime import date

    from raiaudit.audit.gates import Status
    from raiaudit.audit.results import Results
    from raiaudit.audit.store import Run
    from raiaudit.reports.words.headline import Headline

__all__ = ["escape", "to_markdown"]

LIMIT = 1_000_000  # bytes; GitHub refuses a step summary of more than 1 MiB as a whole
_CUT = (
    "\n\n**Cut here** to stay below the 1 MiB that GitHub shows; the worst gates came first. "
    "Each run's `report.pdf` and `results.json` have everything.\n"
)


def to_markdown(runs: Sequence[Run], day: date | None = None, *, limit: int = LIMIT) -> str:
    """Verdicts and headline numbers of all runs, then the gates of each; finished runs only.

    Waivers count if they do on `day`, by default that of the run. At most `limit` bytes.
    """
    finished = [(run.results, day or day_of(run.header)) for run in runs]
    if not finished:
        return "## Audit\n\nNo run has finished: nothing was decided.\n"
    text = "\n".join(_lines(finished)) + "\n"
    if len(text.encode()) <= limit:
        return text
    worst_first = [(_sorted(results), each) for results, each in finished]
    kept, size = [], len(_CUT.encode())
    for line in _lines(worst_first):
        size += len(line.encode()) + 1
        if size > limit:
            break
        kept.append(line)
    return "\n".join(kept) + _CUT


def _sorted(results: Results) -> Results:
    verdicts = sorted(results.verdicts, key=lambda verdict: -SEVERITY[verdict.status])
    return results.model_copy(update={"verdicts": tuple(verdicts)})


def _lines(finished: Sequence[tuple[Results, date]]) -> Iterator[str]:
    yield from _overview(finished)
    for waiver in idle([results for results, _ in finished]):
        yield ""
        yield f"⚠ A waiver of {escape(waiver.owner)} matches no gate here: {escape(waiver.title())}."
    for results, day in finished:
        yield ""
        yield from _gates(results, day)


def _overview(finished: Sequence[tuple[Results, date]]) -> Iterator[str]:
    results = [result for result, _ in finished]
    count = f"{len(results)} {'model' if len(results) == 1 else 'models'}"
    if all(result.subject.record.is_predictions for result in results):
        count = "predictions"
    yield f"## Audit of {count} on {escape(results[0].data.name)}"
    yield ""
    rows = [headlines(result) for result in results]
    columns = shown_columns(rows)
    yield "| Model | Verdict |" + "".join(f" {COLUMNS[i].title} |" for i in columns)
    yield "|---|---|" + "---:|" * len(columns)
    for (result, day), row in zip(finished, rows, strict=True):
        cells = "".join(f" {_cell(row[i])} |" for i in columns)
        yield f"| {_name(result)} | {_ruling(result, day)} |{cells}"


def _gates(result: Results, day: date) -> Iterator[str]:
    yield f"### {_name(result)}: {_ruling(result, day)}"
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
    notes = {id(verdict): waiver_note(verdict, day) for verdict in result.verdicts}
    with_notes = any(notes.values())
    if result.verdicts:
        yield "| Verdict | Check | Quantity | Threshold | Measured |" + (" Waiver |" if with_notes else "")
        yield "|---|---|---|---|---|" + ("---|" if with_notes else "")
    for verdict in result.verdicts:
        gate, m = verdict.gate, verdict.measurement
        where = f" ({slice_text(gate.where)})" if gate is not None and gate.where else ""
        asked = "the check itself" if gate is None else metric_title(gate.metric) + where
        measured = verdict.explanation if m is None else quantity(m)
        bound = "" if gate is None else threshold(gate, m)
        cells = [check_title(verdict.check), asked, bound, measured]
        cells += [notes[id(verdict)]] if with_notes else []
        yield f"| {_verdict(verdict.status)} | " + " | ".join(escape(cell) for cell in cells) + " |"
    for outcome in result.checks:
        if outcome.status != "ran":
            yield ""
            why = escape(outcome.reason or outcome.status)
            yield f"Not tested: {escape(check_title(outcome.check))} ({why})."


def _name(result: Results) -> str:
    return escape(result.subject.name) + (" **PARTIAL**" if result.partial else "")


def _ruling(result: Results, day: date) -> str:
    """What the gates come to on that day; and what was measured, where waivers make a difference."""
    ruling = rule(result, day)
    if not ruling.waived:
        return _verdict(ruling.status)
    gates = "1 gate" if len(ruling.waived) == 1 else f"{len(ruling.waived)} gates"
    return f"{_verdict(ruling.status)} ({gates} waived; measured: {_verdict(result.verdict)})"


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
