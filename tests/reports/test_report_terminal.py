"""The terminal's table: all runs in one, words besides colours, names that are not markup."""

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from raiaudit.audit.store import Run
from raiaudit.reports.formats.terminal import gate_lines, verdict_table
from raiaudit.reports.theme import VERDICTS
from raiaudit.reports.words.headline import COLUMNS, headlines

MakeRun = Callable[..., Run]


def printed(renderable: object, width: int = 120) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_one_row_a_model_with_word_and_symbol(make_run: MakeRun) -> None:
    runs = [make_run(folder="a", model="first"), make_run(folder="b", model="second", partial=True)]
    text = printed(verdict_table(runs))
    row = next(line for line in text.splitlines() if "first" in line)
    assert row.split() == ["first", "✗", "Fail", "98.6✓", "83.6✗", "0.573", "0.04✓", "2.1", "31.0", "1.8"]
    assert "second PARTIAL" in text


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_narrow_terminal_loses_no_digit(make_run: MakeRun, width: int) -> None:
    text = printed(verdict_table([make_run()]), width)
    assert all(len(line) <= width for line in text.splitlines())
    assert "…" not in text


def test_markup_in_a_name_is_shown(make_run: MakeRun) -> None:
    run = make_run(model="[bold red]x[/]\x1b[2J")
    assert "[bold red]x[/][U+001B][2J" in printed(verdict_table([run]), 200)
    assert "[bold red]x[/][U+001B][2J" in printed(gate_lines(run)[0], 200)


def test_robust_accuracy_is_the_worst_attack_at_the_gated_radius(finished_run: Run) -> None:
    titles = [column.title for column in COLUMNS]
    entry = headlines(finished_run.results)[titles.index("Robust accuracy")]
    assert entry is not None
    assert entry.measurement.where == {"norm": "linf", "eps": 0.15, "attack": "pgd"}
    assert entry.status == "fail"


def test_of_methods_that_explain_the_best_is_the_headline(make_run: MakeRun) -> None:
    """The worst would blame a model for a method that does not suit it."""
    results = make_run().results
    first = next(m for m in results.measurements if m.metric == "deletion_gain")
    several = [
        first.model_copy(update={"where": {"method": name}, "value": value})
        for name, value in (("grad_cam", -0.02), ("integrated_gradients", 0.33), ("shapley", None))
    ]
    others = [m for m in results.measurements if m.metric != "deletion_gain"]
    changed = results.model_copy(update={"measurements": (*others, *several)})
    shown = headlines(changed)[[column.title for column in COLUMNS].index("Deletion gain")]
    assert shown is not None
    assert shown.measurement.where == {"method": "integrated_gradients"}


def test_every_gate_has_a_line_that_explains(finished_run: Run) -> None:
    lines = [line.plain for line in gate_lines(finished_run)]
    assert len(lines) == len(finished_run.results.verdicts)
    for line, verdict in zip(lines, finished_run.results.verdicts, strict=True):
        assert line.startswith(VERDICTS[verdict.status].symbol)
        assert VERDICTS[verdict.status].word in line
        assert verdict.explanation in line


def test_no_gate_says_so(make_run: MakeRun) -> None:
    lines = gate_lines(make_run(verdicts=(), verdict="inconclusive"))
    assert [line.plain.strip() for line in lines] == [
        "◐ Inconclusive digits-cnn  no gate was set, so nothing was decided"
    ]
