"""Every measurement of a run as one table, a row each: `measurements.csv` and `measurements.parquet`.

The CSV is for spreadsheets: a text that one would take for a formula (OWASP, CSV injection: it begins with
`=`, `+`, `-`, `@`, a tab or a line break, spaces before it or not) gets an apostrophe before it, and what
cannot be printed is spelt out; numbers stay numbers. The Parquet file holds every text as it is.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from raiaudit.audit.files import write_atomically
from raiaudit.reports.words.citations import full_citation
from raiaudit.reports.words.printable import spelt_out
from raiaudit.reports.words.wording import check_title, metric_title, slice_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import polars as pl

    from raiaudit.audit.gates import Verdict
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.results import Results
    from raiaudit.audit.store import Run

__all__ = ["for_spreadsheets", "measurement_table", "write_csv", "write_parquet"]

_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the last four: full-width forms


def measurement_table(results: Results) -> pl.DataFrame:
    """One row a measurement, in the order of the run; `where` as JSON, `slice` the same in words.

    `verdict` and `threshold` are of the gate that the measurement decided, if it decided one.
    """
    import polars as pl

    texts, numbers = pl.String, pl.Float64
    schema: dict[str, type[pl.DataType]] = {
        "run": texts, "model": texts, "version": pl.Int64, "data": texts, "partial": pl.Boolean,
        "check": texts, "check_title": texts, "metric": texts, "metric_title": texts,
        "where": texts, "slice": texts, "value": numbers, "low": numbers, "high": numbers,
        "confidence": numbers, "n": pl.Int64, "support": pl.Int64, "cap": numbers,
        "unit": texts, "better": texts, "verdict": texts, "threshold": texts, "reason": texts,
        "beside": texts, "method": texts, "citation": texts, "evidence": texts,
    }  # fmt: skip
    decided: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in results.verdicts:
        if verdict.gate is not None and verdict.measurement is not None:
            decided.setdefault((verdict.check, verdict.measurement.metric), []).append(verdict)
    rows = [_row(results, m, decided.get((m.check, m.metric), ())) for m in results.measurements]
    return pl.DataFrame(rows, schema=schema)


def _row(results: Results, m: Measurement, verdicts: Sequence[Verdict]) -> dict[str, object]:
    decided = next((verdict for verdict in verdicts if verdict.measurement == m), None)
    own = m.model_dump(exclude={"where", "evidence", "doubts"})
    return {
        **own,
        "run": results.run,
        "model": results.subject.name,
        "version": results.subject.version,
        "data": results.data.name,
        "partial": results.partial,
        "check_title": check_title(m.check),
        "metric_title": metric_title(m.metric),
        "where": json.dumps(m.where, ensure_ascii=False),
        "slice": slice_text(m.where),
        "verdict": None if decided is None else decided.status,
        "threshold": None if decided is None or decided.gate is None else decided.gate.threshold(),
        "citation": full_citation(m.method),
        "evidence": "; ".join(m.evidence),
    }


def for_spreadsheets(table: pl.DataFrame) -> pl.DataFrame:
    """The same table with every text harmless in a spreadsheet; columns of numbers as they are."""
    import polars as pl
    import polars.selectors as cs

    return table.with_columns(cs.string().map_elements(_harmless, return_dtype=pl.String))


def _harmless(text: str) -> str:
    formula = text[:1] in ("\t", "\r", "\n") or text.lstrip().startswith(_FORMULA)
    return ("'" if formula else "") + spelt_out(text)


def write_csv(run: Run, path: Path | None = None) -> Path:
    """Write the measurements of a finished run, by default to `measurements.csv` in its directory.

    UTF-8 with a byte order mark, without which spreadsheets take it for another encoding.
    """
    target = path or run.folder / "measurements.csv"
    table = for_spreadsheets(measurement_table(run.results))
    write_atomically(target, table.write_csv(include_bom=True, quote_style="non_numeric"))
    return target


def write_parquet(run: Run, path: Path | None = None) -> Path:
    """Write the measurements of a finished run, by default to `measurements.parquet` in its directory."""
    from raiaudit.audit.ledger import parquet_bytes

    target = path or run.folder / "measurements.parquet"
    write_atomically(target, parquet_bytes(measurement_table(run.results)))
    return target
