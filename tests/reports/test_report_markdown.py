"""The Markdown summary: table structure, names without markup, the cap of a step summary."""

import html
import re
from collections.abc import Callable

import pytest

from raiaudit.audit.store import Run
from raiaudit.reports import markdown
from raiaudit.reports.markdown import escape, to_markdown

MakeRun = Callable[..., Run]


def test_every_row_of_a_table_has_the_columns_of_its_head(make_run: MakeRun) -> None:
    text = to_markdown([make_run(model="a | b \n| c", groups=("x|y", "z"))])
    head = 0
    for line in text.splitlines():
        if not line.startswith("|"):
            head = 0
            continue
        cells = line.count("|")
        head = head or cells
        assert cells == head, line


@pytest.mark.parametrize(
    "name",
    [
        "[a](http://x)",
        "<script>",
        "**b**",
        "`c`",
        "a|b",
        "![i](u)",
        "~~s~~",
        "$x$",
        "&lt;",
        "\\",
        "#1",
        "@someone",
    ],
)
def test_a_name_keeps_its_characters_but_not_their_meaning(name: str) -> None:
    text = escape(name)
    assert not re.search(r"[\\`*_\[\]()<>|!~$@]", re.sub(r"&#\d+;", "", text))
    assert html.unescape(text).replace("\u2060", "") == name


@pytest.mark.parametrize("name", ["@someone", "#12", "http://evil.example", "www.evil.example", ":smile:"])
def test_what_github_links_after_parsing_is_broken(name: str) -> None:
    shown = html.unescape(escape(name))
    assert name not in shown
    assert shown.replace("\u2060", "") == name


def test_control_characters_are_spelled_out() -> None:
    assert escape("a\x1b[0m\u202eb") == "a&#91;U&#43;001B&#93;&#91;0m&#91;U&#43;202E&#93;b"


def test_summary_names_verdicts_numbers_and_gaps(finished_run: Run) -> None:
    text = html.unescape(to_markdown([finished_run]))
    assert "| digits-cnn | ✗ Fail | 98.6 % ✓ | 83.6 % ✗ |" in text
    assert "6 gates: 2 pass, 1 fail, 1 inconclusive, 1 not run, 1 error." in text
    assert "83.6 % [80.6, 86.6]" in text
    assert "Not tested: Differential-privacy accounting" in text


def test_partial_is_said(make_run: MakeRun) -> None:
    text = to_markdown([make_run(partial=True)])
    assert text.count("PARTIAL") == 2
    assert "Only 100 examples" in text


def test_the_cap_cuts_whole_models_and_says_so(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [make_run(folder=str(i)) for i in range(4)]
    whole = to_markdown(runs)
    monkeypatch.setattr(markdown, "LIMIT", len(whole.encode()) * 2 // 3)
    cut = to_markdown(runs)
    assert len(cut.encode()) < len(whole.encode()) * 0.7
    assert re.search(r"gates of [12] more models are left out", cut)
    assert cut.count("| digits-cnn |") == 4  # the overview is whole


def test_nothing_finished_is_said() -> None:
    assert "nothing was decided" in to_markdown([])
