"""What each page shows of each state a home can be in (Streamlit's AppTest, no browser)."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from opened_pages import dashboard, opened, shown_by
from streamlit.testing.v1 import AppTest

from raiaudit.audit.lock import run_lock
from raiaudit.audit.store import Home, Run
from raiaudit.audit.studies.cells import Cell, Change
from raiaudit.audit.studies.study import Study, StudyRow
from raiaudit.audit.tradeoff.cells import CELLS
from raiaudit.dashboard import reading

AddRun = Callable[..., Run]
CNN = "20261120-101500-digits-cnn"


def run_page(**query: str) -> AppTest:
    def script() -> None:
        from raiaudit.audit.store import Home
        from raiaudit.dashboard.run import page

        page.show(Home.at(), {})

    return shown_by(script, **query)


def models_page() -> AppTest:
    def script() -> None:
        import streamlit as st

        from raiaudit.audit.store import Home
        from raiaudit.dashboard.models import page

        page.show(Home.at(), {"run": st.Page(lambda: None, title="Run", url_path="run")})

    return shown_by(script)


def tradeoff_page() -> AppTest:
    def script() -> None:
        from raiaudit.audit.store import Home
        from raiaudit.dashboard.studies import tradeoff

        tradeoff.show(Home.at(), {})

    return shown_by(script)


def shown(page: AppTest) -> str:
    """Every word on the page, without Markdown's backslashes and our invisible joiners."""
    parts: list[str] = []
    for texts in (page.title, page.header, page.subheader, page.markdown, page.caption):
        parts += [str(element.value) for element in texts]
    for alerts in (page.info, page.warning, page.error, page.success):
        parts += [str(element.value) for element in alerts]
    parts += [str(element.value) for element in page.code]
    parts += [element.value.to_csv() for element in page.table]
    parts += [_words(element.proto.body) for element in page.get("html")]
    parts += [str(element.proto.label) for element in page.get("page_link")]
    parts += [str(element.proto.text) for element in page.get("progress")]
    return "\n".join(parts).replace("\\", "").replace("\u2060", "").replace("**", "").replace("\u00a0", " ")


def _words(markup: str) -> str:
    """The text of our tables' HTML, a cell a line."""
    return html.unescape(re.sub(r"<[^>]+>", "", re.sub(r"</t[dh]>", "\n", markup)))


def html_table(page: AppTest, caption: str) -> dict[str, list[str]]:
    """Row heading → cells of the one table whose caption begins so; the key "" has the columns' headings."""
    (markup,) = (
        element.proto.body for element in page.get("html") if f"<caption>{caption}" in element.proto.body
    )
    rows = [
        [_words(cell).replace("\u00a0", " ") for cell in re.findall(r"<t[dh].*?</t[dh]>", row, re.DOTALL)]
        for row in re.findall(r"<tr>.*?</tr>", markup, re.DOTALL)
    ]
    return {
        "": [cell.strip() for cell in rows[0]],
        **{row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows[1:]},
    }


def models_listed(page: AppTest) -> list[str]:
    """The models of the table of all runs, in its order."""
    (markup,) = (e.proto.body for e in page.get("html") if "<caption>Every run" in e.proto.body)
    return re.findall(r'<a href="run\?run=[^"]*"[^>]*>([^<]*)</a>', markup)


def charts(page: AppTest) -> int:
    return len(page.get("arrow_vega_lite_chart")) + len(page.get("vega_lite_chart"))


def test_an_empty_home_says_what_to_do(home: Home) -> None:
    assert "raiaudit run examples/digits.yaml" in shown(dashboard())
    assert "raiaudit run examples/digits.yaml" in shown(run_page())
    assert "raiaudit run examples/digits.yaml" in shown(models_page())


@pytest.mark.parametrize(
    "module",
    [
        "run.page",
        "models.page",
        "examples.page",
        "fairness.page",
        "explanations.inside",
        "regulation.page",
        "compare.page",
        "studies.tradeoff",
        "studies.mitigation",
    ],
)
def test_a_page_with_nothing_to_show_gives_a_command_for_this_home(home: Home, module: str) -> None:
    def script(module: str) -> None:
        from importlib import import_module

        from raiaudit.audit.store import Home

        import_module(f"raiaudit.dashboard.{module}").show(Home.at(), {})

    page = opened(AppTest.from_function(script, default_timeout=30, kwargs={"module": module}))
    assert len(page.info) == 1
    (commands,) = page.code
    for command in commands.value.splitlines():
        assert command.startswith("raiaudit ")
        assert command.endswith(f"--home {home.root}")


def test_overview_shows_suites_newest_first_with_verdict_words(add: AddRun) -> None:
    add("a", model="older-model", suite="one", started="2026-11-01T10:00:00+00:00")
    add("b", model="newer-model", suite="two", started="2026-11-02T10:00:00+00:00", robust=0.853)
    page = dashboard()
    assert models_listed(page) == ["newer-model", "older-model"]
    text = shown(page)
    assert "✗ Fail" in text
    assert "◐ Inconclusive" in text
    assert "1 pass · 2 inconclusive · 1 fail" in text


def test_comparison_has_a_column_a_model_of_the_newest_suite_and_a_chart(add: AddRun) -> None:
    add("old", model="elsewhere", suite="old", started="2026-01-01T00:00:00+00:00")
    add("a", model="plain-cnn")
    add("b", model="robust-cnn", robust=0.853, started="2026-11-20T10:16:00+00:00")
    page = dashboard(numbers="true")
    table = page.table[0].value
    assert [name.replace("\\", "") for name in table.columns] == ["", "plain-cnn", "robust-cnn"]
    robust = next(row for row in table.itertuples(index=False) if "Robust accuracy" in row[0])
    assert "Fail" in robust[1]
    assert "20.0 %" in robust[1].replace("\\", "")
    assert "Pass" in robust[2]
    assert "85.3 %" in robust[2].replace("\\", "")
    assert "ε = 0.15" in robust[0].replace("\\", "")
    further = next(
        row for row in table.itertuples(index=False) if "attack = lira" in row[0].replace("\\", "")
    )
    assert "not defined" in further[1]
    assert charts(page) == 1


def test_a_gate_that_one_models_headline_does_not_show_has_a_row_for_all(add: AddRun) -> None:
    """A stronger attack without a gate is that model's headline; its gate, and its attack, must be told."""
    run = add("a", model="plain-cnn")
    add("b", model="robust-cnn", robust=0.853, started="2026-11-20T10:16:00+00:00")
    results = json.loads((run.folder / "results.json").read_text())
    gated = next(
        m for m in results["measurements"] if m["metric"] == "robust_accuracy" and m["where"]["eps"] == 0.15
    )
    stronger = {
        **gated,
        "value": 0.1,
        "low": 0.07,
        "high": 0.14,
        "where": {**gated["where"], "attack": "stronger"},
    }
    results["measurements"].append(stronger)
    (run.folder / "results.json").write_text(json.dumps(results))
    run.seal()
    rows = [
        [cell.replace("\\", "") for cell in row]
        for row in dashboard(numbers="true").table[0].value.itertuples(index=False)
    ]
    headline = next(row for row in rows if row[0].startswith("Robust accuracy"))
    assert "10.0 %" in headline[1]
    assert "attack = stronger" in headline[1]
    assert "Fail" not in headline[1]
    gate = next(row for row in rows if row[0].startswith("Robust accuracy ≥"))
    assert "Fail" in gate[1]
    assert "20.0 %" in gate[1]
    assert "Pass" in gate[2]


def test_groups_stand_side_by_side(add: AddRun) -> None:
    page = run_page(run=add().id, pillar="Fairness")
    table = html_table(page, "Fairness between groups for each group of style")
    assert table[""] == ["style", "upright", "slanted"]
    heading, cells = list(table.items())[1]
    assert heading.startswith("Accuracy")
    assert "share of audited examples answered correctly" in heading.lower()
    assert cells[0].startswith("97.0 % [")
    assert cells[0].endswith("n = 120")
    assert cells[1].startswith("93.0 % [")


def test_filters_keep_the_runs_asked_for(add: AddRun) -> None:
    add("a", model="failing-model", data="digits")
    add("b", model="open-model", data="mnist", robust=0.853, suite="s2")
    page = dashboard()
    page.pills[0].set_value(["inconclusive"]).run()
    assert models_listed(page) == ["open-model"]
    page.multiselect[0].set_value(["digits"]).run()
    assert "No run fits these filters" in shown(page)


def test_overview_reads_headers_and_the_newest_suites_results_only(
    add: AddRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        add(
            f"run-{number}",
            suite=f"suite-{number}",
            started=f"2026-11-0{number + 1}T00:00:00+00:00",
            spec_path=f"audit-{number}.yaml",
        )
    read: list[str] = []
    whole = Run.results.fget  # type: ignore[attr-defined]  # a property of the class

    def noted(run: Run) -> Any:
        read.append(run.id)
        return whole(run)

    monkeypatch.setattr(Run, "results", property(noted))
    monkeypatch.setattr(Run, "ledger", property(lambda run: pytest.fail("the overview opened a ledger")))
    monkeypatch.setattr(Run, "evidence", lambda *_: pytest.fail("the overview opened evidence"))
    dashboard()
    assert read == ["run-4"]


def test_damaged_files_cost_their_run_alone(add: AddRun) -> None:
    add("fine", model="fine-model", started="2026-11-01T00:00:00+00:00")
    torn = add("torn", model="torn-model", started="2026-11-02T00:00:00+00:00")
    (torn.folder / "results.json").write_text('{"schema_version": 1')
    headless = add("headless")
    (headless.folder / "header.json").write_text("{")
    text = shown(dashboard())
    assert "torn is left out" in text
    assert "fine-model" in text
    assert "headless cannot be listed" in text
    page = run_page(run="torn")
    assert "results.json" in page.code[0].value
    assert "cannot be shown" in page.error[0].value
    assert "header.json" in run_page(run="headless").code[0].value
    assert "fine-model" in shown(models_page())


def test_a_running_run_shows_its_progress_and_journal(add: AddRun) -> None:
    run = add(status="running")
    with run_lock(run.folder):
        text = shown(run_page(run=run.id))
        assert "7 of 23 tasks" in text
        assert "task_finished" in text
        assert "▶ Running" in shown(dashboard())


def test_a_run_whose_process_died_is_not_called_running(add: AddRun) -> None:
    run = add(status="running")
    with run_lock(run.folder):
        assert "Running" in shown(dashboard())
    text = shown(run_page(run=run.id))
    assert "Running" not in text
    assert "the process ended before the audit did" in text
    assert "raiaudit run examples/digits.yaml" in text


@pytest.mark.parametrize(("status", "word"), [("failed", "Aborted"), ("interrupted", "Interrupted")])
def test_a_stopped_run_shows_error_and_resume_command(add: AddRun, status: str, word: str) -> None:
    run = add(status=status, error="the disk is full\n→ free some space")
    page = run_page(run=run.id)
    assert page.code[0].value == "the disk is full\n→ free some space"
    assert f"raiaudit run examples/digits.yaml --home {run.folder.parent.parent}" in page.code[1].value
    assert word in shown(page)


def test_a_finished_run_shows_verdict_gates_scope_and_what_was_not_tested(add: AddRun) -> None:
    text = shown(run_page(run=add().id))
    assert "✗ Fail" in text
    assert "300 of 1,797 examples of digits, 10 classes" in text
    assert "the model was not trained privately" in text
    gates = html_table(run_page(run="20261120-101500-digits-cnn"), "The gates")
    failed = gates["✗ Fail"]
    assert "attack = pgd" in failed[0]
    assert failed[1:3] == ["20.0 % [15.5, 24.5] n = 300", "≥ 60.0 %"]
    assert failed[3] == "The whole interval misses the threshold"
    assert gates["✓ Pass"][3] == "The whole interval clears the threshold"
    assert "only 0.3 non-members are expected" in text
    assert "≥ 60.0 %" in text


@pytest.mark.parametrize(
    ("pillar", "drawn", "said"),
    [
        ("Performance", 0, "98.6 %"),
        ("Robustness", 2, "ε = 0.15"),
        ("Privacy", 2, "not defined: only 0.3 non-members"),
        ("Fairness", 1, "slanted"),
        ("Explanations", 1, "Deletion gain"),
        ("Reliability", 1, "Expected calibration error"),
    ],
)
def test_each_pillar_shows_its_numbers_and_charts(add: AddRun, pillar: str, drawn: int, said: str) -> None:
    page = run_page(run=add().id, pillar=pillar)
    assert said in shown(page)
    assert charts(page) == drawn


def test_pictures_carry_texts_for_those_who_cannot_see_them(add: AddRun) -> None:
    page = run_page(run=add().id, pillar="Explanations")
    pictures = [picture for element in page.get("image") for picture in element.proto.imgs]
    assert len(pictures) == 1  # of one example, to be chosen
    assert pictures[0].alt.startswith("integrated gradients over digits-00000 at 60 % opacity")


def test_a_torn_evidence_table_costs_its_figures_alone(add: AddRun) -> None:
    run = add()
    (run.folder / "evidence" / "robustness.evasion" / "curve.parquet").write_bytes(b"PAR1 torn")
    page = run_page(run=run.id, pillar="Robustness")
    assert "The figures are missing" in page.warning[0].value
    assert "Robust accuracy" in shown(page)


def test_downloads_and_seal(add: AddRun) -> None:
    run = add()
    page = run_page(run=run.id)
    assert [element.proto.label for element in page.get("download_button")] == ["PDF report", "results.json"]
    page.button[0].click().run()
    assert "as the run left it" in page.success[0].value
    (run.folder / "report.pdf").write_bytes(b"%PDF-1.7 forged")
    page.button[0].click().run()
    assert "report.pdf" in page.error[0].value.replace("\\", "")


def test_the_page_and_the_table_can_be_taken_away_where_the_run_has_them(add: AddRun) -> None:
    run = add()
    (run.folder / "report.html").write_text("<!doctype html>")
    (run.folder / "measurements.csv").write_text("run,model")
    labels = [element.proto.label for element in run_page(run=run.id).get("download_button")]
    assert labels == ["PDF report", "HTML report", "Measurements, CSV", "results.json"]


def test_a_run_without_a_pdf_says_how_to_get_it(add: AddRun) -> None:
    run = add()
    (run.folder / "report.pdf").unlink()
    assert f"raiaudit report {run.id}" in shown(run_page(run=run.id))


def test_an_unknown_run_falls_back_to_the_newest_with_a_warning(add: AddRun) -> None:
    add(model="the-newest")
    page = run_page(run="nonsense")
    assert "no run nonsense" in page.warning[0].value
    assert "the-newest" in shown(page)


def test_the_selectbox_changes_run_and_address(add: AddRun) -> None:
    add("a", model="first-model", started="2026-11-01T00:00:00+00:00")
    add("b", model="second-model", started="2026-11-02T00:00:00+00:00")
    page = run_page(run="b")
    page.selectbox[0].set_value("a").run()
    assert page.title[0].value.replace("\\", "") == "first-model"
    assert page.query_params["run"] == "a"


def test_results_are_parsed_once_until_the_file_changes(add: AddRun) -> None:
    run = add()
    first = reading.results_of(run)
    assert reading.results_of(run) is first
    (run.folder / "results.json").write_text(first.model_copy(update={"seed": 12345}).model_dump_json())
    assert reading.results_of(run).seed == 12345


def test_explained_words_are_shown_with_signed_shares_of_the_largest(add: AddRun) -> None:
    run = add()
    pl.DataFrame(
        {
            "example_id": ["t-1"],
            "label": ["positive"],
            "predicted": ["negative"],
            "shape": [[2]],
            "input": pl.Series([None], dtype=pl.List(pl.Float32)),
            "map": [[-0.5, 0.25]],
            "features": [["not", "<b>good</b>"]],
        }
    ).write_parquet(run.folder / "evidence" / "explanations.attribution" / "maps.parquet")
    results = json.loads((run.folder / "results.json").read_text())
    results["data"]["modality"] = "text"
    (run.folder / "results.json").write_text(json.dumps(results))
    page = run_page(run=run.id, pillar="Explanations")
    (heat_map,) = [e.proto.body for e in page.get("html") if "<bdi" in e.proto.body]
    said = re.findall(r"<bdi [^>]*>(.*?)</bdi><span [^>]*>(.*?)</span>", heat_map)
    assert said == [("not", "−100\u00a0%"), ("&lt;b&gt;good&lt;/b&gt;", "+50\u00a0%")]


def a_study(variant: str) -> Study:
    """Two variants with invented numbers; the second one has a name from outside and leaks less."""

    def cells(shift: float) -> dict[str, Cell]:
        change = Change(difference=shift, low=shift - 0.02, high=shift + 0.02, n=300) if shift else None
        share = Cell(value=0.9 + shift, low=0.85, high=0.95, n=300, change=change)
        leak = share.model_copy(update={"value": 0.1 + shift, "better": "lower", "slice": "lira at 1 % FPR"})
        none = Cell(value=None, reason="not in the spec")
        return dict.fromkeys(CELLS, none) | {"clean_accuracy": share, "membership_tpr": leak}

    rows = tuple(
        StudyRow(variant=name, model=name, run=CNN, cells=cells(shift))
        for name, shift in (("standard", 0.0), (variant, -0.05))
    )
    return Study(
        id="study-1",
        name="study",
        data="digits",
        seed=0,
        partial=False,
        made="2026-11-21T10:00:00+00:00",
        machine="",
        versions={},
        spec_path="study.yaml",
        notes=("private: derived",),
        rows=rows,
    )


def test_a_tradeoff_study_shows_its_table_and_charts(home: Home) -> None:
    assert "raiaudit tradeoff examples/tradeoff.yaml" in shown(tradeoff_page())
    folder = home.root / "tradeoffs" / "study-1"
    folder.mkdir(parents=True)
    (folder / "tradeoff.json").write_text(a_study("[private](x)").model_dump_json())
    page = tradeoff_page()
    text = shown(page)
    for part in (
        "[private](x)",
        "85.0 % [85.0, 95.0]",
        "Δ −5.0 [−7.0, −3.0] ▼",
        "lira at 1 % FPR",
        "derived",
    ):
        assert part in text
    assert charts(page) == 2
    (home.root / "tradeoffs" / "damaged").mkdir()
    (home.root / "tradeoffs" / "damaged" / "tradeoff.json").write_text("{")
    assert "A study is left out" in shown(tradeoff_page())
