"""A comparison in every document: what is said, what is drawn, and names that mean harm."""

from __future__ import annotations

import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from raiaudit.audit.comparison.results import Changed, ComparedRun, Comparison, Delta, Difference, NotCompared
from raiaudit.reports.charts import to_svg
from raiaudit.reports.charts.comparison import forest, forest_text
from raiaudit.reports.comparison.differences import difference_blocks
from raiaudit.reports.comparison.findings import findings
from raiaudit.reports.comparison.page import comparison_html
from raiaudit.reports.comparison.pdf import comparison_pdf
from raiaudit.reports.comparison.tables import comparison_tables
from raiaudit.reports.comparison.terminal import print_comparison

HOSTILE = (
    "<script>alert(1)</script>",
    '#let x = read("/etc/passwd")',
    "=cmd()",
    "../../etc/passwd",
    "javascript:alert(1)",
    "\u202eevil \u0627\u0644\u0639",
    "\x1b[31mred\x07",
    "[bold]not markup[/bold]",
    "x" * 10_000,
)


def delta(metric: str = "accuracy", change: float = 0.05, **more: Any) -> Delta:
    facts: dict[str, Any] = {
        "run": 1,
        "check": "performance.accuracy",
        "metric": metric,
        "where": {},
        "unit": "",
        "better": "higher",
        "kind": "yes/no",
        "n": 300,
        "reference": 0.8,
        "value": 0.8 + change,
        "difference": change,
        "low": change - 0.02,
        "high": change + 0.02,
        "p": 0.001,
        "p_holm": 0.002,
        "fixed": 20,
        "broken": 5,
        "confidence": 0.95,
    }
    return Delta.model_validate({**facts, **more})


def comparison(*called: str, **more: Any) -> Comparison:
    called = called or ("plain", "robust")
    facts: dict[str, Any] = {
        "runs": tuple(
            ComparedRun(
                id=f"run-{i}",
                name=name,
                started=f"2026-11-2{i}T10:00:00+00:00",
                verdict="pass",
                partial=False,
            )
            for i, name in enumerate(called)
        ),
        "data": "digits",
        "data_digest": "d" * 64,
        "audited": 300,
        "confidence": 0.95,
        "differences": (
            Difference(topic="seed", key="run.seed", values=tuple(map(str, range(len(called))))),
        ),
        "paired": (
            delta(),
            delta("log_loss", 0.1, unit="nats", better="lower", kind="mean", fixed=None, broken=None),
            delta("mean_corruption_error", -0.03, better="lower", kind="mean", p_holm=0.3),
        ),
        "unpaired": (
            delta("ece", -0.01, better="lower", kind="unpaired", fixed=None, broken=None, p_holm=0.6),
        ),
        "slices": (),
        "groups": (delta(group=("sex", "a"), change=0.08), delta(group=("sex", "b"), change=-0.1)),
        "changed": (
            Changed(
                run=1,
                check="performance.accuracy",
                metric="accuracy",
                where={},
                fixed=("t1", "t2"),
                broken=("t3",),
            ),
        ),
        "not_compared": (NotCompared(run=1, check="x", metrics=("y",), reason="eps = 0.1 only in the run"),),
    }
    return Comparison.model_validate({**facts, **more})


def text_of(found: Comparison) -> str:
    return "\n".join(
        line
        for table in comparison_tables(found)
        for block in table.blocks
        for row in block.rows
        for cell in row
        for line in cell
    )


# Words


def test_a_group_that_pays_is_named_beside_the_average() -> None:
    told = [line for _, line in findings(comparison())]
    assert told[0].startswith("Of 3 quantities paired with plain, 1 are better, 1 worse, 1 without")
    assert any(line.startswith("Worse: Log loss +0.100 [+0.080, +0.120]") for line in told)
    assert any(
        line.startswith("Accuracy is better on average, but worse for sex = b −10.0 points [−12.0, −8.0]")
        for line in told
    )
    unharmed = comparison(groups=(delta(group=("sex", "a")),))
    assert any(
        "No group of 10 examples or more is clearly worse off" in line for _, line in findings(unharmed)
    )


def test_shares_are_in_points_and_every_table_says_its_correction() -> None:
    found = comparison()
    assert "+5.0 points [+3.0, +7.0]" in text_of(found)
    assert "20 fixed, 5 broken" in text_of(found)
    notes = [table.note for table in comparison_tables(found) if table.title != "Which examples changed"]
    assert len(notes) == 3
    assert "Holm for the 3 tests" in notes[0]
    assert all("Holm" in note for note in notes)


@pytest.mark.parametrize("runs", [2, 3, 4, 9])
def test_every_run_has_its_place_in_some_table(runs: int) -> None:
    called = [f"model-{i}" for i in range(runs)]
    found = comparison(
        *called, paired=tuple(delta(run=i) for i in range(1, runs)), groups=(), unpaired=(), changed=()
    )
    (table,) = comparison_tables(found)
    assert {name for block in table.blocks for name in block.header} >= set(called[1:])
    assert text_of(found).count("▲ better") == runs - 1
    headers = {name for block in difference_blocks(found) for name in block.header}
    assert headers == {"Field", *called}


def test_a_part_of_the_spec_that_one_run_lacks_is_one_row() -> None:
    keys = ("norm", "eps", "steps")
    lacking = tuple(
        Difference(topic="model", key=f"recipe.adversary.{key}", values=(None, key.upper())) for key in keys
    )
    both = Difference(topic="model", key="recipe.epochs", values=("3", "4"))
    (block,) = difference_blocks(comparison(differences=(*lacking, both)))
    assert block.rows == (
        (["recipe.adversary"], ["–"], ["norm NORM, eps EPS, steps STEPS"]),
        (["recipe.epochs"], ["3"], ["4"]),
    )


# Charts


def marks(svg: str) -> int:
    groups = re.findall(r'<g class="mark-symbol role-mark [^>]*>(.*?)</g>', svg, flags=re.DOTALL)
    return sum(len(re.findall(r"<path ", group)) for group in groups)


def test_the_forest_turns_errors_around_and_leaves_other_units_out() -> None:
    found = comparison()
    chart = forest(found, found.paired)
    assert chart is not None
    assert marks(to_svg(chart)) == 2  # the loss has a unit of its own
    told = forest_text(found, found.paired)
    assert "robust, Accuracy: +5.0 [+3.0, +7.0], better" in told
    assert "robust, Mean corruption error: +3.0 [+1.0, +5.0], undecided" in told
    assert forest(found, ()) is None


# Documents


def test_the_pdf_is_the_same_twice_and_says_what_differs_before_any_number(tmp_path: Path) -> None:
    found = comparison()
    document = comparison_pdf(found)
    assert document == comparison_pdf(found)
    assert b"<pdfuaid:part>1<" in document
    assert b"<pdfaid:part>2<" in document
    if which("pdftotext") is None:
        pytest.skip("needs pdftotext")
    (tmp_path / "c.pdf").write_bytes(document)
    done = subprocess.run(
        ["pdftotext", "-layout", str(tmp_path / "c.pdf"), "-"], capture_output=True, text=True, check=True
    )
    text = done.stdout
    assert (
        text.index("run.seed") < text.index("What to read first") < text.index("Paired, example by example")
    )
    assert "sex = b −10.0 points" in re.sub(r"\s+", " ", text)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.data = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [
            value or "" for name, value in attrs if name in ("href", "src") or name.startswith("on")
        ]

    def handle_data(self, data: str) -> None:
        self.data += data


def hostile() -> Comparison:
    """The names in every place that comes from outside."""
    told = [delta(name, where={name: name}, check=name, run=i) for i, name in enumerate(HOSTILE, start=1)]
    return comparison(
        "plain",
        *HOSTILE,
        data=HOSTILE[0],
        differences=tuple(
            Difference(topic="spec", key=f"context.{name}", values=(name, *[None] * len(HOSTILE)))
            for name in HOSTILE
        ),
        groups=tuple(each.model_copy(update={"group": (each.metric, each.metric)}) for each in told),
        changed=tuple(
            Changed(run=1, check=name, metric=name, where={"class": name}, fixed=(name,), broken=())
            for name in HOSTILE
        ),
        not_compared=tuple(NotCompared(run=1, check=name, metrics=(name,), reason=name) for name in HOSTILE),
        paired=tuple(told),
    )


def test_hostile_names_do_no_harm(capsys: pytest.CaptureFixture[str]) -> None:
    found = hostile()
    html = _Tags()
    html.feed(comparison_html(found))
    assert not {"script", "img", "iframe", "a", "link"} & set(html.tags)
    assert html.links == []
    assert all(name[:30] in html.data for name in HOSTILE)
    assert comparison_pdf(found).startswith(b"%PDF")
    print_comparison(found)
    printed = capsys.readouterr().out
    assert "\x1b[31m" not in printed
    assert "\x07" not in printed
    assert "\u202e" not in printed
    assert "[bold]not" in re.sub(r"\s+", "", printed).replace("…", "")


def test_the_html_loads_nothing_and_labels_what_it_draws() -> None:
    found = comparison_html(comparison())
    assert found == comparison_html(comparison())
    assert not re.search(r"<script|@import|\bsrc=|url\((?!#)", found)
    assert "default-src 'none'" in found
    assert found.count('role="img"') == found.count('aria-label="Forest plot.') == 2
    assert found.count('<th scope="row">') > 5
