"""The Run page says who waived a gate until when, and that a waiver has run out."""

from __future__ import annotations

import html
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from raiaudit.audit.gating import attach
from raiaudit.audit.store import Run
from raiaudit.audit.waivers import Waiver

AddRun = Callable[..., Run]


def gates_of(run: Run) -> str:
    def script() -> None:
        from raiaudit.audit.store import Home
        from raiaudit.dashboard.run import page

        page.show(Home.at(), {})

    app = AppTest.from_function(script, default_timeout=30)
    app.query_params["run"] = run.id
    app.run()
    assert not app.exception
    found: list[Any] = [element.value for element in (*app.markdown, *app.get("html"))]
    return html.unescape(" ".join(str(value) for value in found))


@pytest.mark.parametrize(
    ("expires", "words"),
    [
        (date(2999, 1, 31), "waived by <b>r.ait until 2999-01-31: [known](javascript:x)"),
        (date(2020, 1, 31), "WAIVER EXPIRED on 2020-01-31"),
    ],
)
def test_a_waiver_is_shown_beside_its_gate(add: AddRun, expires: date, words: str) -> None:
    run = add(robust=0.1)
    waiver = Waiver(
        check="robustness.evasion",
        metric="robust_accuracy",
        owner="<b>r.ait",
        reason="[known](javascript:x)",
        expires=expires,
    )
    results = attach(run.results, [waiver], model=run.header.model)
    (run.folder / "results.json").write_text(results.model_dump_json())
    assert words in gates_of(run)
