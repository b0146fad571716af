"""How the headline numbers of an audit that was repeated have moved: a chart a number, a line a model.

Runs belong together when they come of the same spec file (or command) and audit the same data under the same
digest. Partial runs, and runs on other bytes of the data, are counted and left out: their numbers are of
something else.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import streamlit as st

from raiaudit.dashboard.choosing import choose
from raiaudit.dashboard.libraries import import_libraries
from raiaudit.dashboard.reading import Told, told_of
from raiaudit.dashboard.wording import instant, plain
from raiaudit.reports.words.headline import COLUMNS
from raiaudit.reports.words.metric_words import explained
from raiaudit.reports.words.wording import in_percent, quantity, slice_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.results import RunHeader
    from raiaudit.dashboard.reading import RunEntry

__all__ = ["ask_for_charts", "show"]

_MOST_RUNS = 80
_AT_FIRST = 2  # charts before anybody asks for more
_HEIGHT = 240  # pixels, of a chart: the room for one that is still to come
_DRAWN = "trends.drawn"
# A constant. A frame later the page is painted; the button is hidden by `style.STYLE`.
_WHEN_IDLE = """<script>
requestAnimationFrame(() => (window.requestIdleCallback || setTimeout)(
  () => document.querySelector(".st-key-draw-charts button")?.click()));
</script>"""
_Run = tuple["RunEntry", "RunHeader"]


def show(entries: Sequence[RunEntry]) -> None:
    """Draw the section; nothing where no audit of a model was repeated. `entries` are newest first."""
    repeated = {key: runs for key, runs in _by_audit(entries).items() if _most_repeated(runs) > 1}
    if not repeated:
        return
    st.header("Trends", anchor=False)
    keys = list(repeated)
    key = choose("trend", "Audit", keys, _title(repeated)) if keys[1:] else keys[0]
    runs = [
        (entry, header, told) for entry, header in repeated[key][:_MOST_RUNS] if (told := told_of(entry.run))
    ]
    kept = [run for run in runs if not run[1].partial]
    digest = kept[0][2].data_digest if kept else ""
    comparable = [run for run in kept if run[2].data_digest == digest]
    _say_what_is_shown(
        len(comparable),
        {
            "older": len(repeated[key]) - len(repeated[key][:_MOST_RUNS]),
            "partial": len(runs) - len(kept),
            "on data with another digest": len(kept) - len(comparable),
        },
    )
    rows = _rows(comparable)
    drawn = [place for place in range(len(COLUMNS)) if _moves(rows, place)]
    if not drawn:
        st.info("No number of this audit has been measured twice on the same data.")
        return
    titles = [COLUMNS[place].title for place in drawn]
    asked = st.pills(
        "Numbers",
        titles,
        selection_mode="multi",
        default=titles[:_AT_FIRST],
        key="numbers-over-time",
        bind="query-params",
    )
    chosen = [place for place in drawn if COLUMNS[place].title in asked]
    now = not chosen or st.session_state.setdefault(_DRAWN, False)
    for start in range(0, len(chosen), 2):
        for column, place in zip(st.columns(2, gap="large"), chosen[start : start + 2], strict=False):
            with column:
                _number([row for row in rows if row["place"] == place], place, drawn=now)


def ask_for_charts() -> None:
    """The first page of a session is drawn without its charts: their code is a second's work for a browser.

    It asks for them by itself as soon as it has shown the rest. Draw this last.
    """
    if st.session_state.get(_DRAWN) is not False:
        return
    st.session_state[_DRAWN] = True
    st.button("Draw the charts", key="draw-charts")
    st.html(_WHEN_IDLE, unsafe_allow_javascript=True)


def _by_audit(entries: Sequence[RunEntry]) -> dict[str, list[_Run]]:
    found: dict[str, list[_Run]] = {}
    for entry in entries:
        header = entry.header
        if header is not None and header.status == "finished":
            name = header.spec_path or header.command
            if name:
                found.setdefault(f"{name} · {header.data}", []).append((entry, header))
    return found


def _most_repeated(runs: Sequence[_Run]) -> int:
    return max(Counter(header.model for _, header in runs if not header.partial).values(), default=0)


def _title(repeated: dict[str, list[_Run]]) -> Any:
    return lambda key: f"{key} · {len(repeated[key])} runs, last {instant(repeated[key][0][1].started)}"


def _say_what_is_shown(shown: int, left_out: dict[str, int]) -> None:
    counts = [f"{count} {why}" for why, count in left_out.items() if count]
    also = f" Left out: {', '.join(counts)}." if counts else ""
    st.caption(
        f"{shown} runs on the same data. Bars are intervals of each run by itself: two that overlap may "
        f"still differ, which raiaudit compare tests example by example.{also}"
    )


def _rows(runs: Sequence[tuple[RunEntry, RunHeader, Told]]) -> list[dict[str, Any]]:
    """A row a run and headline that has a value; oldest first."""
    return [
        {
            "place": place,
            "model": header.model,
            "run": entry.id,
            "started": header.started,
            "measured": measured,
            "slice": slice_text(measured.where),
            "value": measured.value,
            "low": measured.low,
            "high": measured.high,
        }
        for entry, header, told in reversed(runs)
        for place, measured in enumerate(told.headlines)
        if measured is not None and measured.value is not None
    ]


def _moves(rows: Sequence[dict[str, Any]], place: int) -> bool:
    return max(Counter(row["model"] for row in rows if row["place"] == place).values(), default=0) > 1


def _number(rows: Sequence[dict[str, Any]], place: int, *, drawn: bool) -> None:
    """What the number is, its chart or the room for it, and what it says."""
    newest: Measurement = rows[-1]["measured"]
    slices = list(dict.fromkeys(row["slice"] for row in rows))
    st.markdown(f"**{plain(COLUMNS[place].title)}**")
    if drawn:
        _chart(rows, COLUMNS[place].title, percent=in_percent(newest.metric, newest.unit))
    else:
        st.container(height=_HEIGHT, border=False)
    words = explained(newest.metric)
    if len(slices) > 1:
        words += f" Not measured alike in all runs: {'; '.join(slices)}."
    st.caption(plain(words))


def _chart(rows: Sequence[dict[str, Any]], title: str, *, percent: bool) -> None:
    import_libraries()
    import polars as pl

    from raiaudit.dashboard.figures import draw_chart
    from raiaudit.reports.charts.trends import metric_over_time

    table = pl.DataFrame(
        [{key: row[key] for key in ("model", "run", "started", "value", "low", "high")} for row in rows],
        schema_overrides={"low": pl.Float64, "high": pl.Float64},
        infer_schema_length=None,
    )
    told = "; ".join(
        f"{row['model']}, {instant(row['started'])}: {quantity(row['measured'])}" for row in rows
    )
    draw_chart(metric_over_time(table, percent=percent), f"Chart. {title} over time. {told}")
