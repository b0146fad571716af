"""The tables of `fairness.profiles`: what each rule asks, its numbers, and what cannot hold together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from raiaudit.reports.figures.sheet import Sheet
from raiaudit.reports.words.wording import decimal

if TYPE_CHECKING:
    import polars as pl

    from raiaudit.audit.results import Results

__all__ = ["SHEETS"]

_ROWS = 40


def _rules(table: pl.DataFrame, results: Results) -> Iterator[Sheet]:
    columns = (("Rule", 1.0, False), ("Asks", 1.7, False), ("Does not say", 1.5, False))
    rows, notes = [], []
    for row in table.iter_rows(named=True):
        looked_up = f"; looked up {row['checked']}" if row["checked"] else ""
        rule = f"{row['title']}. {row['citation']}. From {row['in_force']}{looked_up}."
        asks = " ".join(row["asks"] or ["Its owner's thresholds, below."])
        silent = " ".join(row["does_not_say"] or ["Whatever its owner did not write down."])
        rows.append((rule, asks, silent))
        words = f" In its words: “{row['words']}”" if row["words"] else ""
        if row["how_checked"]:
            notes.append(f"{row['title']}: {row['how_checked']}{words}")
    favourable = table["favourable"][0]
    outcome = "no outcome is named as favourable" if favourable is None else f"favourable is “{favourable}”"
    caption = f"Rules looked at; {outcome}. Nothing here is legal advice."
    yield Sheet(caption, columns, tuple(rows), "\n".join(notes))


def _four_fifths(table: pl.DataFrame, results: Results) -> Iterator[Sheet]:
    columns = (
        ("Group", 1.5, False),
        ("n", 0.5, True),
        ("Rate", 0.6, True),
        ("Ratio", 0.6, True),
        ("Interval", 0.9, False),
        ("Fisher’s p", 0.8, True),
        ("Bare alarm", 0.7, True),
        ("One person", 0.7, False),
        ("Says", 2.0, False),
    )
    for (attribute,), rows in table.group_by("attribute", maintain_order=True):
        lines = [
            (
                row["group"],
                f"{row['n']:,}",
                _percent(row["rate"]),
                _number(row["ratio"]),
                _span(row["low"], row["high"]),
                _p(row["p_adjusted"]),
                _percent(row["false_alarm"]),
                {None: "", True: "turns it", False: "no"}[row["one_person"]],
                f"{row['verdict']}: {row['note']}" if row["note"] else row["verdict"],
            )
            for row in rows.head(_ROWS).iter_rows(named=True)
        ]
        note = (
            "p and intervals hold for all pairs together. Bare alarm: how often a ratio below 0.8 comes up "
            "between these two groups when both have one rate. One person: whether one more selected here "
            f"and one fewer in {rows['reference'][0]} would turn the difference round."
        )
        yield Sheet(f"Four-fifths rule by {attribute}.{_left(rows)}", columns, tuple(lines), note)


def _local_law(table: pl.DataFrame, results: Results) -> Iterator[Sheet]:
    subject = results.subject
    tool = f"{subject.name} v{subject.version}" if subject.version else subject.name
    for (kind, name), rows in table.group_by("rate_of", "table", maintain_order=True):
        done = "Selected" if kind == "selection" else "Above median"
        columns = (
            ("Category", 1.7, False),
            ("People", 0.6, True),
            ("Share", 0.6, True),
            (done, 0.8, True),
            (f"{str(kind).capitalize()} rate", 0.9, True),
            ("Impact ratio", 0.8, True),
            ("Interval", 0.9, False),
            ("Note", 2.6, False),
        )
        lines = [
            (
                row["category"],
                f"{row['n']:,}",
                _percent(row["share"]),
                "" if row["selected"] is None else f"{row['selected']:,}",
                _percent(row["rate"]),
                _number(row["impact_ratio"]),
                _span(row["low"], row["high"]),
                row["note"] or "",
            )
            for row in rows.head(_ROWS).iter_rows(named=True)
        ]
        data = f"{results.data.name} ({results.data.source})" if results.data.source else results.data.name
        caption = f"Local Law 144, {kind} rates by {name}: {tool} on {data}.{_left(rows)}"
        excuses = rows["justification"].drop_nulls()
        note = f"Without a ratio (5-301(d)): {excuses[0]}." if excuses.len() else ""
        yield Sheet(caption, columns, tuple(lines), note)


def _examined(table: pl.DataFrame, results: Results) -> Iterator[Sheet]:
    columns = (
        ("Clause", 0.6, False),
        ("Property of the data", 1.4, False),
        ("Examined", 0.6, False),
        ("Found, or why not", 3.0, False),
    )
    lines = [
        (clause, subject, "yes" if examined else "no", finding)
        for clause, subject, examined, finding in table.select(
            "clause", "subject", "examined", "finding"
        ).iter_rows()
    ]
    yield Sheet("EU AI Act, Article 10: what was examined in these data.", columns, tuple(lines))


def _own(table: pl.DataFrame, results: Results) -> Iterator[Sheet]:
    columns = (
        ("Rule", 0.8, False),
        ("Metric", 1.6, False),
        ("Slice", 1.4, False),
        ("Asked", 0.7, False),
        ("Value", 0.6, True),
        ("Interval", 0.9, False),
        ("Says", 0.9, False),
    )
    lines = [
        (
            row["profile"],
            row["metric"].replace("_", " "),
            row["slice"],
            row["threshold"],
            _number(row["value"]),
            _span(row["low"], row["high"]),
            {"pass": "met", "fail": "missed"}.get(row["status"], "undecided"),
        )
        for row in table.iter_rows(named=True)
    ]
    yield Sheet("Own rules: thresholds and what the intervals allow to say.", columns, tuple(lines))


def _criteria(table: pl.DataFrame, results: Results) -> Iterator[Sheet]:
    import polars as pl

    columns = (
        ("Group column", 0.8, False),
        ("Criteria", 1.8, False),
        ("Together", 0.7, False),
        ("Why", 2.4, False),
    )
    alike = table.group_by("criteria", "together", "why", maintain_order=True).agg("attribute")
    lines = alike.select(pl.col("attribute").list.join(", "), "criteria", "together", "why").rows()
    yield Sheet("Which criteria can hold together at these base rates.", columns, tuple(lines))


def _forced(table: pl.DataFrame, results: Results) -> Iterator[Sheet]:
    columns = (
        ("Group", 1.8, False),
        ("n", 0.7, True),
        ("Base rate", 0.8, True),
        ("Interval", 1.0, False),
        ("PPV", 0.7, True),
        ("FPR", 0.7, True),
        ("FNR", 0.7, True),
        ("Forced FPR", 0.9, True),
        ("Forced FNR", 0.9, True),
        ("Forced PPV", 0.9, True),
    )
    lines = [
        (
            f"{row['attribute']}: {row['group']}",
            f"{row['n']:,}",
            _percent(row["base_rate"]),
            f"[{100 * row['low']:.1f}, {100 * row['high']:.1f}]",
            *(
                _percent(row[name])
                for name in ("ppv", "fpr", "fnr", "forced_fpr", "forced_fnr", "forced_ppv")
            ),
        )
        for row in table.head(_ROWS).iter_rows(named=True)
    ]
    note = (
        "Forced: what the base rate makes of one rate when the other two are those of all groups together. "
        "Empty: undefined, a group too small, or no confusion matrix has these rates."
    )
    yield Sheet(f"Base rates and what they force.{_left(table)}", columns, tuple(lines), note)


SHEETS: Mapping[str, Mapping[str, Callable[[pl.DataFrame, Results], Iterator[Sheet]]]] = {
    "fairness.profiles": {
        "profiles": _rules,
        "four_fifths": _four_fifths,
        "own_rules": _own,
        "impossibility": _forced,
        "criteria": _criteria,
        "eu_ai_act_10_2": _examined,
        "ll144": _local_law,
    }
}


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}".replace("%", " %")


def _number(value: float | None) -> str:
    return "" if value is None else decimal(value)


def _span(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"[{low:.2f}, {high:.2f}]"


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def _left(rows: pl.DataFrame) -> str:
    return (
        f" The first {_ROWS} of {rows.height} rows; all are in the evidence." if rows.height > _ROWS else ""
    )
