"""Names from outside are shown literally: markdown-it (a second Markdown implementation) is the oracle."""

from __future__ import annotations

import re
from html import unescape
from unicodedata import bidirectional

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from raiaudit.dashboard import tables
from raiaudit.dashboard.wording import chip, duration, instant, plain

HOSTILE = [
    "[click](https://evil.example)",
    "![x](https://evil.example/x.png)",
    "<script>alert(1)</script>",
    "**bold** _it_ `code` ~~gone~~",
    "# heading",
    "- item",
    "1. item",
    "> quote",
    "| a | b |",
    "&lt;b&gt; &amp;",
    "http://evil.example and www.evil.example and me@evil.example",
    "a\\*b\\",
    ":red[x] :material/home: $x^2$ :smile:",
    "\n\n    indented\n\n---\n",
]
RENDER = MarkdownIt("gfm-like", {"linkify": False})


def rendered(text: str) -> str:
    return str(RENDER.render(plain(text)))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_come_out_as_text(text: str) -> None:
    html = rendered(text)
    assert set(re.findall(r"<(\w+)", html)) <= {"p"}
    assert unescape(re.sub(r"</?p>", "", html)).replace("\u2060", "").strip() == " ".join(text.split())


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40))
def test_any_ascii_name_comes_out_as_text(text: str) -> None:
    html = rendered(text)
    assert set(re.findall(r"<(\w+)", html)) <= {"p"}
    assert unescape(re.sub(r"</?p>", "", html)).replace("\u2060", "").strip() == " ".join(text.split())


@pytest.mark.parametrize(
    "name", ["a\u202eb", "\u2069\u202e", "\u2066x", "שלום", "مرحبا 12", "a\u2069\u202eשלום"]
)
def test_a_name_turns_nothing_beside_it_about(name: str) -> None:
    """By Unicode UAX #9, what is isolated, and opens and closes nothing itself, reorders nothing outside."""
    for shown in (plain(name), unescape(tables.text(name))):
        if any(bidirectional(char) in {"R", "AL", "AN"} for char in shown):
            assert (shown[0], shown[-1]) == ("\u2068", "\u2069")
            shown = shown[1:-1]
        assert not {"RLO", "LRO", "RLE", "LRE", "PDF", "RLI", "LRI", "FSI", "PDI"} & set(
            map(bidirectional, shown)
        )
        assert ("U+202E" in shown.replace("\\", "")) == ("\u202e" in name)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "—"),
        (0.04, "0.0 s"),
        (41.23, "41.2 s"),
        (60, "1 min 0 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_times_are_told_in_utc_and_bad_ones_as_written() -> None:
    assert instant("2026-11-21T01:36:00+01:00") == "21 Nov 2026, 00:36 UTC"
    assert instant("yesterday") == "yesterday"


@pytest.mark.parametrize("state", ["pass", "fail", "inconclusive", "not_run", "error", "running", "failed"])
def test_a_chip_has_a_symbol_a_word_and_a_colour(state: str) -> None:
    assert re.fullmatch(r":[a-z]+-badge\[\S [A-Z][a-z ]+\]", chip(state))
