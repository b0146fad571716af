"""The models of one suite side by side: a row a headline number or gate, a column a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from raiaudit.dashboard.figures import draw_chart
from raiaudit.dashboard.wording import chip, plain
from raiaudit.reports.words.headline import COLUMNS, headlines, shown_columns
from raiaudit.reports.words.metric_words import explained
from raiaudit.reports.words.wording import eps_unit, interval, metric_title, slice_text, threshold, value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.audit.gates import Status
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.results import Results
    from raiaudit.reports.words.headline import Headline

__all__ = ["show"]

_EVASION = "robustness.evasion"


def show(results: Sequence[Results]) -> None:
    """Draw the table and the chart of the runs of one suite, in the order of the spec."""
    data = results[0].data
    st.caption(f"{plain(data.name)} · {data.audited:,} audited examples · intervals in brackets")
    _numbers_by_model(results)
    _robustness_by_model(results)


def _numbers_by_model(results: Sequence[Results]) -> None:
    """The headline of every pillar as in the terminal's table, then the gates that are not among them."""
    rows = [headlines(result) for result in results]
    shown = shown_columns(rows)
    gates_of = [_gates(result) for result in results]
    questions = _untold(gates_of, rows, shown)
    columns = {"": ["**Verdict**", *(_title(i, rows) for i in shown), *questions]}
    for place, (result, row, gates) in enumerate(zip(results, rows, gates_of, strict=True), start=1):
        # Two models may bear one name; a table needs two.
        name = plain(result.subject.name)
        columns[name if name not in columns else f"{name} ({place})"] = [
            chip(result.verdict),
            *(_cell(row[i], named=len(_slices(i, rows)) > 1) for i in shown),
            *(_answer(*gates[question]) if question in gates else "—" for question in questions),
        ]
    st.table(
        columns,
        border="horizontal",
        hide_index=True,
        alt="Headline numbers and gates of each model of the suite",
    )


def _slices(place: int, rows: Sequence[Sequence[Headline | None]]) -> set[str]:
    return {slice_text(headline.measurement.where) for row in rows if (headline := row[place])}


def _title(place: int, rows: Sequence[Sequence[Headline | None]]) -> str:
    """The headline's name, the slice where it is the same for all models, and what the number says."""
    slices = _slices(place, rows)
    title = plain(COLUMNS[place].title)
    common = plain(slices.pop()) if len(slices) == 1 else ""
    metric = next(headline.measurement.metric for row in rows if (headline := row[place]))
    words = f":small[:gray[{plain(explained(metric))}]]"
    return "  \n".join([title, *([f":gray[{common}]"] if common else []), words])


def _cell(headline: Headline | None, *, named: bool) -> str:
    """`named`: with the slice, which is not the same for all models."""
    if headline is None:
        return "—"
    answer = _answer(headline.measurement, headline.status)
    slice_ = plain(slice_text(headline.measurement.where)) if named else ""
    return f"{answer}  \n:gray[{slice_}]" if slice_ else answer


def _gates(result: Results) -> dict[str, tuple[Measurement | None, Status]]:
    """Question → measurement and status of each gate."""
    found: dict[str, tuple[Measurement | None, Status]] = {}
    for verdict in result.verdicts:
        gate, measured = verdict.gate, verdict.measurement
        if gate is None:
            continue
        slice_ = plain(slice_text(gate.where))
        title = f"{plain(metric_title(gate.metric))} {plain(threshold(gate, measured))}"
        question = f"{title}  \n:gray[{slice_}]" if slice_ else title
        found[question] = measured, verdict.status
    return found


def _untold(
    gates_of: Sequence[dict[str, tuple[Measurement | None, Status]]],
    rows: Sequence[Sequence[Headline | None]],
    shown: Sequence[int],
) -> list[str]:
    """The questions that the headlines of at least one model do not answer."""
    questions: dict[str, None] = {}
    for gates, row in zip(gates_of, rows, strict=True):
        told = [headline.measurement for i in shown if (headline := row[i]) is not None]
        for question, (measured, _) in gates.items():
            if measured is None or measured not in told:
                questions[question] = None
    return list(questions)


def _answer(measured: Measurement | None, status: Status | None) -> str:
    mark = f"{chip(status)} " if status else ""
    if measured is None:
        return mark.strip()
    if measured.value is None:
        return f"{mark}:gray[not defined]"
    return f"{mark}**{plain(value(measured))}**  \n:gray[{plain(interval(measured))}]"


def _robustness_by_model(results: Sequence[Results]) -> None:
    """Clean accuracy (ε = 0) and robust accuracy of every model under the threat they have in common."""
    import polars as pl

    from raiaudit.reports.charts import accuracy_against_eps

    threat = _first_threat(results)
    rows = [
        _point(result.subject.name, measured)
        for result in results
        for measured in result.measurements
        if measured.check == _EVASION and _threat(measured) == threat and measured.value is not None
    ]
    clean = [row | {"eps": 0.0} for row in rows if row["metric"] == "clean_accuracy"]
    robust = [row for row in rows if row["metric"] == "robust_accuracy"]
    if threat is None or not robust:
        return
    table = pl.DataFrame(clean + robust).unique(["model", "eps"], keep="last")
    norm, attack = threat
    chart = accuracy_against_eps(table, norm=norm, of=eps_unit(results[0].data.modality), by="model")
    points = "; ".join(f"{row['model']} at {row['eps']:.3g}: {row['robust_accuracy']:.3g}" for row in robust)
    st.space("small")
    left, right = st.columns([3, 2], gap="large", vertical_alignment="center")
    with left:
        draw_chart(chart, f"Chart. Accuracy against ε by model. {points}")
    right.markdown("**Accuracy as the attack's budget grows**")
    right.caption(
        f"Attack {plain(attack)}; at ε = 0 the examples are clean. Bands are intervals. To rank two models "
        "whose bands overlap, compare them example by example: raiaudit compare A B"
    )


def _first_threat(results: Sequence[Results]) -> tuple[str, str] | None:
    found = (_threat(m) for result in results for m in result.measurements if m.metric == "robust_accuracy")
    return next((threat for threat in found if threat is not None), None)


def _threat(measured: Measurement) -> tuple[str, str] | None:
    norm, attack = measured.where.get("norm"), measured.where.get("attack")
    return (str(norm), str(attack)) if "eps" in measured.where and norm and attack else None


def _point(model: str, measured: Measurement) -> dict[str, Any]:
    return {
        "model": model,
        "metric": measured.metric,
        "eps": float(measured.where["eps"]),
        "robust_accuracy": measured.value,
        "low": measured.low,
        "high": measured.high,
    }
