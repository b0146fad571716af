"""The evidence map: every rule of the catalogue, what a run holds for it, and no word of compliance."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable

import pytest
from opened_pages import shown_by
from streamlit.testing.v1 import AppTest

from raiaudit.audit.store import Home, Run
from raiaudit.reports.content.relevance import relevance
from raiaudit.reports.words.catalogues import mapping, read_catalogue

AddRun = Callable[..., Run]
NAMES = {each["key"]: each["name"] for each in read_catalogue("mapping.yaml")["frameworks"]}


def evidence_map(**query: str) -> AppTest:
    def script() -> None:
        import streamlit as st

        from raiaudit.audit.store import Home
        from raiaudit.dashboard.regulation import page

        page.show(Home.at(), {"run": st.Page(lambda: None, title="Run", url_path="run")})

    return shown_by(script, **query)


def markup(page: AppTest) -> str:
    (found,) = (e.proto.body for e in page.get("html") if "<caption>" in e.proto.body)
    return str(found)


def row(page: AppTest, evidence: str) -> str:
    rows: list[str] = re.findall(r"<tr>.*?</tr>", markup(page))
    return next(row for row in rows if f"<td>{evidence}</td>" in row)


@pytest.mark.parametrize("framework", list(NAMES))
def test_the_rules_side_and_the_evidence_side_say_the_same(framework: str) -> None:
    keys = list(NAMES)
    from_rows = {
        (reference, each["evidence"])
        for each in mapping(frozenset())["rows"]
        for reference in each["cells"][keys.index(framework)]
    }
    from_rules = {(rule.reference, each.name) for rule in relevance(framework) for each in rule.evidence}
    assert from_rules == from_rows
    assert len(from_rules) > 5


@pytest.mark.parametrize("framework", list(NAMES))
def test_every_rule_of_the_framework_is_on_the_page(add: AddRun, framework: str) -> None:
    add()
    found = html.unescape(markup(evidence_map(framework=NAMES[framework])))
    for rule in relevance(framework):
        assert rule.reference in found
        assert rule.text in found


def test_evidence_leads_to_its_pillar_and_gaps_are_named(add: AddRun) -> None:
    run = add()
    page = evidence_map(run=run.id)
    evasion = row(page, "Evasion by an adversary who knows the model")
    assert "Fail" in evasion
    assert f'href="run?run={run.id}&amp;pillar=Robustness"' in evasion
    assert "measured, no gate on it" in row(page, "Natural corruption and noise")
    assert "not in the spec: robustness.certified" in row(page, "Certified robustness within a radius")
    assert "no check here yields it" in row(page, "Model inversion and extraction")
    refused = row(page, "Differential-privacy accounting")
    assert "Not run" in refused
    assert "the model was not trained privately" in refused
    assert "Every run holds it" in row(page, "Logs, hashes and signed report")


def test_nothing_is_called_compliant_and_the_catalogue_is_dated(add: AddRun) -> None:
    add()
    page = evidence_map()
    words = " ".join(str(e.value) for e in (*page.markdown, *page.caption, *page.subheader)) + markup(page)
    assert "Relevance is not compliance" in words
    assert not re.search(r"\bcompliant\b|\bcomplies\b|\bfulfil", words)
    catalogue = read_catalogue("mapping.yaml")
    assert f"version {catalogue['version']}, as of {catalogue['as_of']}" in words
    assert "Council approved" in words


def test_no_finished_run_and_a_damaged_one(home: Home, add: AddRun) -> None:
    assert "no evidence to map" in evidence_map().info[0].value
    run = add("torn")
    add("live", status="failed")
    (run.folder / "results.json").write_text('{"schema_version": 1')
    page = evidence_map(run="torn")
    assert "cannot be read" in page.error[0].value


def test_hostile_reasons_stay_text(add: AddRun) -> None:
    run = add()
    results = json.loads((run.folder / "results.json").read_text())
    for check in results["checks"]:
        if check["check"] == "privacy.accounting":
            check["reason"] = "<script>alert(1)</script>"
    (run.folder / "results.json").write_text(json.dumps(results))
    found = markup(evidence_map())
    assert "<script>" not in found
    assert "&lt;script&gt;" in found
