"""A run of a file of predictions on the pages made for models."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

from raiaudit.cli import app


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("predictions")
    frame = pl.DataFrame({"yhat": [0, 1] * 200, "team": ["a", "b"] * 200})
    frame.write_csv(folder / "hired.csv")
    asked = ["fairness", str(folder / "hired.csv"), "--pred", "yhat", "--groups", "team"]
    done = CliRunner().invoke(app, [*asked, "--home", str(folder / "home"), "--max", "impact_ratio=1"])
    assert done.exit_code == 0, done.output
    return folder / "home"


def test_the_run_page_says_that_no_model_was_seen(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def script() -> None:
        from raiaudit.audit.store import Home
        from raiaudit.dashboard.run import page

        page.show(Home.at(), {})

    monkeypatch.setenv("RAIAUDIT_HOME", str(home))
    page = AppTest.from_function(script, default_timeout=30).run()
    assert not page.exception
    facts = {
        row["Fact"]: row["Value"]
        for table in page.table
        for row in table.value.to_dict("records")
        if "Fact" in row
    }
    assert "no model was seen" in facts["What it is"]
    assert "No model was seen" in facts["Loaded"]
    assert "raiaudit fairness hired" in facts["Command"]


def test_predictions_are_no_model(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def script() -> None:
        from raiaudit.audit.store import Home
        from raiaudit.dashboard.models import page

        page.show(Home.at(), {})

    monkeypatch.setenv("RAIAUDIT_HOME", str(home))
    page = AppTest.from_function(script, default_timeout=30).run()
    assert not page.exception
    assert [info.value for info in page.info]
