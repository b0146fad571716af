"""The models page: one row a set of weights, lineage and variants of the chosen one, card and audits."""

from __future__ import annotations

import html
import json
import re
import sqlite3
from collections.abc import Callable

import pytest
from opened_pages import shown_by
from streamlit.testing.v1 import AppTest

from raiaudit.audit.store import Home, Run

AddRun = Callable[..., Run]


def models_page(**query: str) -> AppTest:
    def script() -> None:
        import streamlit as st

        from raiaudit.audit.store import Home
        from raiaudit.dashboard.models import page

        page.show(Home.at(), {"run": st.Page(lambda: None, title="Run", url_path="run")})

    return shown_by(script, **query)


def rows(page: AppTest, caption: str) -> list[list[str]]:
    (markup,) = (e.proto.body for e in page.get("html") if f"<caption>{caption}" in e.proto.body)
    cells = [re.findall(r"<t[dh].*?</t[dh]>", row, re.DOTALL) for row in re.findall(r"<tr>.*?</tr>", markup)]
    return [[html.unescape(re.sub(r"<[^>]+>", "", cell)) for cell in row] for row in cells]


def words(page: AppTest) -> str:
    parts = [str(e.value) for e in (*page.markdown, *page.info, *page.warning, *page.header)]
    return "\n".join(parts).replace("\\", "").replace("\u2060", "")


def change_recipe(run: Run, **changes: object) -> None:
    """Another recipe, and so other weights, in the record of a run's model."""
    results = json.loads((run.folder / "results.json").read_text())
    record = results["subject"]["record"]
    record["recipe"] |= changes
    (run.folder / "results.json").write_text(json.dumps(results))


def test_each_model_is_listed_once_with_the_runs_that_audited_it(add: AddRun) -> None:
    add("a", model="digits-cnn", suite="one")
    add("b", model="digits-cnn", suite="two", started="2026-11-21T00:00:00+00:00")
    add("c", model="digits-vit", suite="two")
    add("d", model="unfinished", suite="three", status="failed")
    page = models_page()
    listed = rows(page, "Models")[1:]
    assert [(row[0], row[-1]) for row in listed] == [("digits-cnn", "2"), ("digits-vit", "1")]
    assert len(page.get("page_link")) == 2
    text = words(page)
    assert "26,010" in text
    assert "d" * 64 in text


def test_the_address_names_the_model(add: AddRun) -> None:
    add("a", model="digits-cnn", suite="one")
    add("c", model="digits-vit", suite="two")
    digest = (b"digits-vit".hex() + "0" * 64)[:64]
    assert models_page(model=digest).header[0].value.replace("\\", "") == "digits-vit"


def test_variants_of_the_same_data_tell_what_differs(add: AddRun) -> None:
    add("a", model="plain", started="2026-11-22T00:00:00+00:00")
    change_recipe(add("b", model="longer"), epochs=99)
    add("c", model="elsewhere")
    changed = json.loads(
        (run := Run(Home.at().runs_folder / "c")).folder.joinpath("results.json").read_text()
    )
    changed["subject"]["record"]["data_digest"] = "e" * 64
    (run.folder / "results.json").write_text(json.dumps(changed))
    kin = rows(models_page(), "Other models of the same data")[1:]
    assert [row[0] for row in kin] == ["longer"]
    assert kin[0][1] == "epochs 20 → 99"


def test_the_card_shows_what_the_newest_run_measured(add: AddRun) -> None:
    add("a", suite="one", robust=0.2)
    add("b", suite="two", robust=0.4, started="2026-11-21T00:00:00+00:00")
    page = models_page(card="true")
    card = next(expander for expander in page.expander if expander.label == "Model card")
    text = html.unescape(card.markdown[0].value).replace("\u2060", "")
    assert "#### Limits" in text
    assert "run b" in text
    robust = next(line for line in text.splitlines() if line.startswith("| Robust accuracy"))
    assert "40.0 %" in robust
    assert "Fail" in robust


def write_registry(home: Home, name: str) -> None:
    home.root.mkdir(parents=True, exist_ok=True)
    base = sqlite3.connect(home.root / "registry.db")
    base.executescript(
        "CREATE TABLE model_versions (name, version, creation_time, source, current_stage);"
        "CREATE TABLE model_version_tags (name, version, key, value);"
        "CREATE TABLE registered_model_aliases (name, version, alias);"
    )
    base.execute(
        "INSERT INTO model_versions VALUES (?, 3, 1795288180828, 's3://elsewhere/x', 'None')", [name]
    )
    base.execute("INSERT INTO model_version_tags VALUES (?, 3, 'raiaudit.architecture', 'resnet18')", [name])
    base.execute("INSERT INTO registered_model_aliases VALUES (?, 3, 'candidate')", [name])
    base.commit()
    base.close()


def test_a_registered_model_that_nobody_audited_is_listed_as_such(home: Home) -> None:
    write_registry(home, "waiting")
    page = models_page()
    row = rows(page, "Models")[1]
    assert row[0] == "waiting"
    assert row[1] == "resnet18"
    assert row[5] == "waiting/3 @candidate"
    assert "Not audited" in row[6]
    assert "record is not in this home" in words(page)


def test_a_damaged_registry_costs_its_rows_alone(home: Home, add: AddRun) -> None:
    add("a")
    (home.root / "registry.db").write_bytes(b"no data base")
    page = models_page()
    assert "cannot be read" in words(page)
    assert len(rows(page, "Models")) == 2


def test_a_registry_elsewhere_is_named(home: Home, add: AddRun, monkeypatch: pytest.MonkeyPatch) -> None:
    add("a")
    write_registry(home, "not-asked")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://registry.example")
    page = models_page()
    assert "https://registry.example" in words(page)
    assert len(rows(page, "Models")) == 2
