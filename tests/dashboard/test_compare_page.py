"""The page Compare in every state: nothing to compare, runs that cannot be, runs that can (AppTest)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from raiaudit.audit.check import Task
from raiaudit.audit.store import Home, Run

AddRun = Callable[..., Run]
HOSTILE = "<script>x</script> [a](javascript:b) :red[c] $d$"


def page(runs: str | None = None) -> AppTest:
    def script() -> None:
        import streamlit as st

        from raiaudit.audit.store import Home
        from raiaudit.dashboard.compare import page

        page.show(Home.at(), {"example": st.Page(lambda: None, title="Example", url_path="example")})

    test = AppTest.from_function(script, default_timeout=60)
    if runs is not None:
        test.query_params["runs"] = runs
    test.run()
    assert not test.exception, [element.value for element in test.exception]
    return test


def shown(test: AppTest) -> str:
    parts = [str(e.value) for kind in (test.title, test.header, test.subheader, test.markdown) for e in kind]
    parts += [str(e.value) for kind in (test.caption, test.info, test.warning, test.error) for e in kind]
    parts += [element.value.to_csv() for element in test.table]
    return "\n".join(parts).replace("\\", "").replace("\u2060", "").replace("\u00a0", " ")


def links(test: AppTest) -> list[str]:
    return [str(e.proto.label).replace("\\", "").replace("\u2060", "") for e in test.get("page_link")]


def charts(test: AppTest) -> int:
    return len(test.get("arrow_vega_lite_chart")) + len(test.get("vega_lite_chart"))


def edit(run: Run, change: Callable[[dict[str, Any]], None]) -> None:
    path = run.folder / "results.json"
    results = json.loads(path.read_text())
    change(results)
    path.write_text(json.dumps(results))
    run.seal()


@pytest.fixture
def pair(add: AddRun) -> tuple[Run, Run]:
    """Two runs whose accuracy is in their ledgers: 30 of 300 fixed, 3 broken, group b pays for a."""
    made: list[Run] = []
    for name, model, wrong in (
        ("run-a", "plain", range(60)),
        ("run-b", "robust", [*range(30, 60), 290, 291, 292]),
    ):
        run = add(name, model=model, started=f"2026-11-20T10:1{len(made)}:00+00:00")
        correct = [i not in wrong for i in range(300)]
        columns = {
            "example_id": [f"digits-{i:05d}" for i in range(300)],
            "accuracy.correct": correct,
            "group.sex": ["a"] * 280 + ["b"] * 20,
        }
        run.ledger.append(Task("performance.accuracy", "rows-0"), "0" * 16, pl.DataFrame(columns))

        def paired(results: dict[str, Any], value: float = sum(correct) / 300) -> None:
            accuracy = next(m for m in results["measurements"] if m["metric"] == "accuracy")
            accuracy |= {"value": value, "evidence": ["accuracy.correct"]}

        edit(run, paired)
        made.append(run)
    return made[0], made[1]


def test_without_two_finished_runs_it_says_how_to_get_them(home: Home, add: AddRun) -> None:
    assert "There is no finished run yet" in shown(page())
    add("one")
    add("two", status="running")
    assert "There is one finished run" in shown(page())


def test_the_newest_suite_is_compared_at_once(pair: tuple[Run, Run]) -> None:
    test = page()
    assert test.multiselect[0].value == ["run-a", "run-b"]
    assert test.query_params["runs"] == ["run-a,run-b"] or test.query_params["runs"] == "run-a,run-b"
    text = shown(test)
    assert text.index("What differs besides the results") < text.index("Paired, example by example")
    assert "weights_digest" in text
    assert "30 fixed, 3 broken" in text
    assert "better" in text
    assert "sex = b" in text
    assert charts(test) == 2


def test_the_address_decides_and_the_first_is_the_reference(pair: tuple[Run, Run]) -> None:
    text = shown(page("run-b,run-a"))
    assert "plain against robust" in text
    assert "3 fixed, 30 broken" in text
    assert "▼ worse" in text


def test_changed_examples_are_links(pair: tuple[Run, Run]) -> None:
    found = links(page("run-a,run-b"))
    assert found == [*(f"digits-{i:05d}" for i in range(30)), "digits-00290", "digits-00291", "digits-00292"]


def test_one_run_or_an_unknown_one_is_not_enough(pair: tuple[Run, Run]) -> None:
    assert "Pick two runs or more" in shown(page("run-a"))
    text = shown(page("run-a,nobody"))
    assert "nobody is left out: there is no such run here" in text
    assert "Pick two runs or more" in text


def test_a_run_on_other_data_is_left_out_and_the_others_are_compared(
    pair: tuple[Run, Run], add: AddRun
) -> None:
    other = add("run-c", model="elsewhere")
    edit(other, lambda results: results["data"].update(digest="e" * 64))
    text = shown(page("run-a,run-b,run-c"))
    assert "not comparable: run-c was audited on other data" in text
    assert "robust against plain" in text
    assert "not comparable" in shown(page("run-a,run-c"))


def test_damaged_running_and_predicted_runs_are_left_out_with_the_reason(
    pair: tuple[Run, Run], add: AddRun
) -> None:
    add("run-d", status="failed")
    add("run-e", modality="predictions")
    broken = add("run-f")
    (broken.folder / "results.json").write_text("{")
    headless = add("run-g")
    (headless.folder / "header.json").write_text("{")
    text = shown(page("run-a,run-b,run-d,run-e,run-f,run-g"))
    assert "run-d is left out: it is failed" in text
    assert "run-e is left out: it is of a file of predictions" in text
    assert "run-f is left out: it is damaged" in text
    assert "run-g is left out: it is damaged" in text
    assert "robust against plain" in text


def test_a_damaged_ledger_costs_the_comparison_not_the_page(pair: tuple[Run, Run]) -> None:
    shard = next(pair[1].ledger.shards()).path
    shard.write_bytes(shard.read_bytes() + b"x")
    assert "These runs cannot be compared" in shown(page("run-a,run-b"))


def test_hostile_names_are_shown_as_written(pair: tuple[Run, Run]) -> None:
    edit(pair[1], lambda results: results["subject"].update(name=HOSTILE))
    test = page("run-a,run-b")
    assert HOSTILE in shown(test)
    raw = "\n".join(str(e.value) for e in (*test.markdown, *test.header, *test.caption))
    assert "[a](" not in raw
    assert "<script>" not in raw


def test_the_overview_leads_here_with_its_models(pair: tuple[Run, Run]) -> None:
    def script() -> None:
        import streamlit as st

        from raiaudit.audit.store import Home
        from raiaudit.dashboard.audits import overview

        overview.show(Home.at(), {"compare": st.Page(lambda: None, title="Compare", url_path="compare")})

    test = AppTest.from_function(script, default_timeout=60).run()
    assert not test.exception
    (found,) = [e.proto for e in test.get("page_link") if "Compare" in e.proto.label]
    assert "runs=run-a%2Crun-b" in found.query_string or "runs=run-a,run-b" in found.query_string
