"""The Markdown summary: table structure, names without markup, the cap of a step summary."""

import html
import re
from collections.abc import Callable
from datetime import date

import pytest

from raiaudit.audit.gates import Gate, Verdict
from raiaudit.audit.gating import attach
from raiaudit.audit.store import Run
from raiaudit.audit.waivers import Waiver
from raiaudit.reports.formats.markdown import escape, to_markdown

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


HOSTILE = "<script>|`[a](javascript:x)\u202e\x1b[0m" * 250  # 10 kB


def test_a_summary_stays_below_a_mebibyte_whatever_the_run_holds(make_run: MakeRun) -> None:
    gate = Gate(metric=HOSTILE, min=0.5)
    passed = Verdict(status="pass", check="acme", gate=gate, measurement=None, explanation="fine")
    failed = passed.model_copy(update={"status": "fail", "explanation": "worst of all"})
    run = make_run(model=HOSTILE, verdicts=(*[passed] * 60, failed))
    text = to_markdown([run])
    assert 900_000 < len(text.encode()) < 1 << 20
    assert "**Cut here**" in text
    assert text.count("worst of all") == 1  # what matters is not what is cut
    assert "<script>" not in text
    tail = text[text.index("**Cut here**") - 2 :]
    assert tail.startswith("\n\n")  # the table has ended


def test_room_already_taken_in_the_file_counts(make_run: MakeRun) -> None:
    runs = [make_run(folder=str(i)) for i in range(4)]
    whole = to_markdown(runs)
    cut = to_markdown(runs, limit=len(whole.encode()) * 2 // 3)
    assert len(cut.encode()) <= len(whole.encode()) * 2 // 3
    assert cut.count("| digits-cnn |") == 4  # the overview is whole
    assert to_markdown(runs, limit=len(whole.encode())) == whole


WAIVER = Waiver(
    check="robustness.evasion",
    metric="robust_accuracy",
    owner="r.ait | <b>",
    reason="[in March](javascript:x)",
    expires=date(2026, 11, 20),
)


def test_a_waiver_is_shown_with_its_terms_and_an_expired_one_loudly(make_run: MakeRun) -> None:
    first = make_run(folder="a").results
    alone = first.model_copy(update={"verdicts": first.verdicts[:2]})  # a pass and a failure
    idle = WAIVER.model_copy(update={"metric": "robust_acuracy"})
    found = attach(alone, [WAIVER, idle], model="digits-cnn")
    run = make_run(verdicts=found.verdicts, idle_waivers=found.idle_waivers)
    raw = to_markdown([run])
    assert "javascript:" not in raw
    text = html.unescape(raw)
    assert "| digits-cnn | ✓ Pass (1 gate waived; measured: ✗ Fail) |" in text
    assert "waived by r.ait | <b> until 2026-11-20" in text
    assert "matches no gate here: robustness.evasion/robust_acuracy." in text
    heads = [line.count("|") for line in raw.splitlines() if "Quantity" in line or "Evasion" in line]
    assert len(set(heads)) == 1
    late = html.unescape(to_markdown([run], date(2026, 11, 21)))
    assert "| digits-cnn | ✗ Fail |" in late
    assert "WAIVER EXPIRED on 2026-11-20" in late


def test_nothing_finished_is_said() -> None:
    assert "nothing was decided" in to_markdown([])
