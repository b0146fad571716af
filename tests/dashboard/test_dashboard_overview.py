"""The overview: verdict matrix, trends, and what the address keeps of them."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from datetime import date, timedelta
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

import polars as pl
import pytest
from opened_pages import dashboard
from streamlit.testing.v1 import AppTest

from raiaudit.audit.gating import today
from raiaudit.audit.store import Run
from raiaudit.dashboard.audits.matrix import answer

AddRun = Callable[..., Run]


def matrix(page: AppTest) -> str:
    (markup,) = (e.proto.body for e in page.get("html") if "the worst verdict of each pillar" in e.proto.body)
    return str(markup)


def cell(page: AppTest, model: str, pillar: str) -> tuple[str, dict[str, list[str]] | None]:
    """What a cell says, and the query of its link."""
    rows = re.findall(r"<tr>.*?</tr>", matrix(page))
    heads = [_plain(head) for head in re.findall(r"<th.*?</th>", rows[0])]
    row = next(row for row in rows if f">{model}<" in row)
    found = re.findall(r"<t[dh].*?</t[dh]>", row)[heads.index(pillar)]
    link = re.search(r'<a href="([^"]*)"', found)
    return _plain(found), parse_qs(urlsplit(html.unescape(link[1])).query) if link else None


def _plain(markup: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", " ", markup)).replace("\u00a0", " ").strip()


def drawn_charts(page: AppTest) -> list[Any]:
    return [*page.get("arrow_vega_lite_chart"), *page.get("vega_lite_chart")]


def change(run: Run, edit: Callable[[dict[str, Any]], None]) -> None:
    results = json.loads((run.folder / "results.json").read_text())
    edit(results)
    (run.folder / "results.json").write_text(json.dumps(results))


def test_a_cell_is_the_worst_verdict_of_the_pillar_with_its_number(add: AddRun) -> None:
    run = add("a", model="plain-cnn")
    page = dashboard()
    said, query = cell(page, "plain-cnn", "Robustness")
    assert "Fail" in said
    assert "20.0 %" in said
    assert "asked ≥ 60.0 %" in said
    assert query == {"run": [run.id], "pillar": ["Robustness"]}
    # One membership gate spans its threshold, the other's number is undefined: both are inconclusive.
    said, _ = cell(page, "plain-cnn", "Privacy")
    assert "Inconclusive" in said
    assert "all 2 gates" in said
    assert "Pass" in cell(page, "plain-cnn", "Performance")[0]


def test_what_was_not_judged_is_told_apart_from_what_was_not_tested(add: AddRun) -> None:
    run = add("a", model="plain-cnn")

    def leave_out(results: dict[str, Any]) -> None:
        kept = [c for c in results["checks"] if not c["check"].startswith(("fairness", "reliability"))]
        refused = {
            "check": "fairness.groups",
            "question": "?",
            "status": "not_run",
            "reason": "no group column",
        }
        results["checks"] = [*kept, refused]

    change(run, leave_out)
    page = dashboard()
    said, query = cell(page, "plain-cnn", "Explanations")
    assert "no gate" in said
    assert "21.0 %" in said
    assert query is not None
    said, query = cell(page, "plain-cnn", "Fairness")
    assert "Not run" in said
    assert "no group column" in said
    said, query = cell(page, "plain-cnn", "Reliability")
    assert "Not tested" in said
    assert query is None


def test_an_errored_check_without_a_gate_is_an_error_in_its_cell(add: AddRun) -> None:
    run = add("a")

    def break_it(results: dict[str, Any]) -> None:
        for check in results["checks"]:
            if check["check"] == "fairness.groups":
                check |= {"status": "error", "reason": "out of memory"}

    change(run, break_it)
    found = answer(run.results, "fairness")
    assert found.status == "error"
    assert found.lines == ("out of memory",)


def test_a_partial_run_says_so_in_its_row(add: AddRun) -> None:
    run = add("a", model="cut", partial=True)
    change(run, lambda results: results.update(partial=True))
    assert "partial" in cell(dashboard(), "cut", "Model")[0]


def test_a_waived_gate_keeps_its_verdict_and_names_who_answers(add: AddRun) -> None:
    run = add("a", model="plain-cnn")
    until = today() + timedelta(days=3)

    def waive(results: dict[str, Any]) -> None:
        for verdict in results["verdicts"]:
            if verdict["status"] == "fail":
                verdict["waiver"] = {
                    "check": verdict["check"],
                    "metric": verdict["gate"]["metric"],
                    "owner": "r.ait@example.org",
                    "reason": "next release",
                    "expires": until.isoformat(),
                }

    change(run, waive)
    said, _ = cell(dashboard(), "plain-cnn", "Robustness")
    assert "Fail" in said
    assert f"waived by r.ait@example.org until {until}" in said


def test_the_address_chooses_the_suite(add: AddRun) -> None:
    add("a", model="older-model", suite="one", started="2026-11-01T10:00:00+00:00")
    add("b", model="newer-model", suite="two", started="2026-11-02T10:00:00+00:00")
    assert "newer-model" in matrix(dashboard())
    page = dashboard(suite="one")
    assert "older-model" in matrix(page)
    assert "newer-model" not in matrix(page)
    page = dashboard(suite="gone")
    assert "no suite gone" in page.warning[0].value
    assert "newer-model" in matrix(page)


def test_hostile_names_stay_text_in_the_matrix(add: AddRun) -> None:
    name = '"><script>alert(1)</script><a href="javascript:alert(1)">x</a>\u202e' + "y" * 10_000
    add('run-"><img src=x>', model=name)
    found = matrix(dashboard())
    assert "<script" not in found
    assert "javascript:" not in re.sub(r">[^<]*<", "><", found)
    assert "<img" not in found
    assert len(found) < 20_000
    hrefs = re.findall(r'href="([^"]*)"', found)
    assert hrefs
    assert all(href.startswith("run?run=run-%22%3E%3Cimg") for href in hrefs)


def nights(add: AddRun, count: int, **options: Any) -> list[Run]:
    first = date(2026, 11, 1)
    return [
        add(
            f"{options.get('model', 'm')}-{night}",
            suite=f"night-{night}",
            started=f"{first + timedelta(days=night)}T03:00:00+00:00",
            robust=0.2 + 0.05 * night,
            **options,
        )
        for night in range(count)
    ]


def test_a_repeated_audit_has_its_numbers_over_time(add: AddRun) -> None:
    nights(add, 3, model="m")
    page = dashboard()
    assert "Trends" in [header.value for header in page.header]
    (pills,) = (p for p in page.pills if p.label == "Numbers")
    assert pills.value == ["Clean accuracy", "Robust accuracy"]
    # The first page of a session comes without charts, for those are slow; the browser asks for them.
    assert drawn_charts(page) == []
    charts = drawn_charts(page.run())
    assert len(charts) == 2
    (data,) = charts[1].proto.datasets
    drawn = pl.read_ipc_stream(BytesIO(data.data.data)).sort("started")
    assert drawn["value"].round(2).to_list() == [0.2, 0.25, 0.3]
    assert [started[:10] for started in drawn["started"]] == ["2026-11-01", "2026-11-02", "2026-11-03"]
    assert (drawn["low"] < drawn["value"]).all()
    assert (drawn["high"] > drawn["value"]).all()
    assert "m, 1 Nov 2026, 03:00 UTC: 20.0 % [" in charts[1].proto.alt


def test_partial_runs_and_runs_on_other_data_are_left_out_of_a_trend_and_counted(add: AddRun) -> None:
    runs = nights(add, 3, model="m")
    add("cut", model="m", suite="s", partial=True, started="2026-11-09T03:00:00+00:00")
    change(runs[0], lambda results: results["data"].update(digest="e" * 64))
    captions = " ".join(str(caption.value) for caption in dashboard().caption)
    assert "2 runs on the same data" in captions
    assert "1 partial" in captions
    assert "1 on data with another digest" in captions


@pytest.mark.parametrize("other", [{"model": "another"}, {"spec_path": "other.yaml"}, {"data": "elsewhere"}])
def test_runs_of_another_audit_make_no_trend(add: AddRun, other: dict[str, str]) -> None:
    add("a", suite="one", started="2026-11-01T10:00:00+00:00")
    add("b", suite="two", started="2026-11-02T10:00:00+00:00", **other)
    assert "Trends" not in [header.value for header in dashboard().header]


def test_filters_stand_in_the_address(add: AddRun) -> None:
    add("a", model="failing-model", spec_path="a.yaml")
    add("b", model="open-model", robust=0.853, suite="s2", spec_path="b.yaml")
    page = dashboard(model="OPEN")
    (markup,) = (e.proto.body for e in page.get("html") if "<caption>Every run" in e.proto.body)
    assert ">open-model</a>" in markup
    assert "failing-model" not in markup


def test_hundreds_of_runs_are_one_table(add: AddRun) -> None:
    for number in range(30):
        add(f"run-{number:02d}", suite=f"suite-{number}", evidence=False, status="interrupted")
    page = dashboard()
    tables = [e.proto.body for e in page.get("html") if "<caption>Every run" in e.proto.body]
    assert len(tables) == 1
    assert tables[0].count("<tbody>") == 24
    assert "‖" in tables[0]
    assert "Interrupted" in tables[0]
    (older,) = page.toggle
    assert older.label == "Show 6 older runs"
    older.set_value(True).run()
    (table,) = (e.proto.body for e in page.get("html") if "<caption>Every run" in e.proto.body)
    assert table.count("<tbody>") == 30
    assert [f"run=run-{number:02d}" in table for number in range(30)] == [True] * 30
